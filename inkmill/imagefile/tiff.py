"""TIFF and BigTIFF headers: the chain of pages, and each page's size and strips."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.imagefile.headers import FileType, Header, Limits, resolution, truncated

_SUBFILE, _OLD_SUBFILE = 254, 255
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC = 256, 257, 258, 262
_STRIPS, _ORIENTATION, _SAMPLES, _STRIP_BYTES = 273, 274, 277, 279
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_TILES, _TILE_BYTES, _EXTRA = 324, 325, 338
#: Values of a tag that are read at most: of those that list the parts of a picture, and of others.
#: A page of one line a strip has some 5,000; directories that name millions are an attack.
_MOST_PARTS, _MOST_VALUES = 2**20, 64
_PARTS = (_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES)
_OTHERS = (_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES)
_WANTED = {
    **dict.fromkeys(_PARTS, _MOST_PARTS),
    **dict.fromkeys(
        (*_OTHERS, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _EXTRA), _MOST_VALUES
    ),
}
#: Entries of a directory that are looked at, at most.
_MOST_ENTRIES = 4096
#: Values of the tags above for a smaller copy of a page, and for a mask.
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
#: The longer side of a thumbnail in pixels, at most: as a page, it could not be read.
_THUMBNAIL = 256
_SAME_SHAPE = 0.05
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 5: "II", 16: "Q"}


@dataclass(frozen=True, slots=True)
class _Layout:
    """How numbers are written in a TIFF: their byte order, and whether it is a BigTIFF."""

    order: str
    big: bool

    @classmethod
    def of(cls, data: bytes) -> _Layout:
        return cls("<" if data[:2] == b"II" else ">", data[2:4] in (b"+\x00", b"\x00+"))

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.big else "I")

    def entries(self, data: bytes, directory: int) -> tuple[int, int, int]:
        """Where a directory's first entry is, how many there are, and the bytes of each."""
        (count,) = struct.unpack_from(self.order + ("Q" if self.big else "H"), data, directory)
        return directory + (8 if self.big else 2), count, 20 if self.big else 12


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of a TIFF that holds a page: its number (from 0), and where it is."""

    number: int
    offset: int


def tiff_pages(data: bytes, limits: Limits) -> list[Directory]:
    """The pages of a TIFF (or BigTIFF) in order, without thumbnails and masks.

    Only the chain of directories is walked, and none of their values is read but what kind of
    picture they hold. Raises ItemError TRUNCATED where the chain leaves the file or bites its tail,
    TOO_LARGE when it is longer than ``limits.max_pages``.
    """
    layout = _Layout.of(data)
    every, pages = list[Directory](), list[Directory]()
    seen: set[int] = set()
    last = _Outline()
    try:
        (offset,) = struct.unpack_from(layout.offset, data, 8 if layout.big else 4)
        while offset:
            if offset in seen or not 0 < offset < len(data):
                raise truncated(FileType.TIFF)
            seen.add(offset)
            if len(seen) > limits.max_pages:
                raise ItemError(
                    Code.TOO_LARGE, f"more than {limits.max_pages} pages: split the file"
                )
            every.append(Directory(len(every), offset))
            outline = _Outline.of(data, offset, layout)
            if not (outline.secondary or outline.is_thumbnail_of(last)):
                pages.append(every[-1])
                last = outline
            start, count, size = layout.entries(data, offset)
            (offset,) = struct.unpack_from(layout.offset, data, start + count * size)
    except struct.error as error:
        raise truncated(FileType.TIFF) from error
    if not every:
        raise truncated(FileType.TIFF)
    # A file of reduced pictures alone was saved so by mistake.
    return pages or every


@dataclass(frozen=True, slots=True)
class _Outline:
    """What a directory's first entries say; they are sorted by tag.

    ``secondary`` is a smaller copy of a page, or a mask, that says so.
    """

    width: int = 0
    height: int = 0
    secondary: bool = False

    @classmethod
    def of(cls, data: bytes, directory: int, layout: _Layout) -> _Outline:
        start, count, size = layout.entries(data, directory)
        values = dict[int, int]()
        for entry in range(start, start + min(count, 6) * size, size):
            tag, kind = struct.unpack_from(layout.order + "HH", data, entry)
            if tag <= _HEIGHT and kind in (3, 4):
                where = entry + (12 if layout.big else 8)
                (values[tag],) = struct.unpack_from(layout.order + _TIFF_TYPES[kind], data, where)
        secondary = values.get(_SUBFILE, 0) & (_REDUCED | _MASK)
        secondary |= values.get(_OLD_SUBFILE) == _OLD_REDUCED
        return cls(values.get(_WIDTH, 0), values.get(_HEIGHT, 0), bool(secondary))

    def is_thumbnail_of(self, page: _Outline) -> bool:
        """Whether this is a much smaller picture of the same shape, which says nothing of it."""
        small, large = max(self.width, self.height), max(page.width, page.height)
        across, down = self.width * page.height, self.height * page.width
        same_shape = abs(across - down) <= _SAME_SHAPE * max(across, down)
        return 0 < small <= _THUMBNAIL and large >= 4 * _THUMBNAIL and same_shape


def _tags(data: bytes, directory: int) -> dict[int, tuple[int, ...]]:
    """The wanted tags of one directory. Raises ItemError TRUNCATED, struct.error."""
    layout = _Layout.of(data)
    start, entries, size = layout.entries(data, directory)
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(start, start + min(entries, _MOST_ENTRIES) * size, size):
        tag, kind = struct.unpack_from(layout.order + "HH", data, entry)
        if tag not in _WANTED or tag in tags or kind not in _TIFF_TYPES:
            continue
        (count,) = struct.unpack_from(layout.offset, data, entry + 4)
        values = _TIFF_TYPES[kind]
        if count * len(values) > len(data) or (count > _MOST_PARTS):
            raise truncated(FileType.TIFF)
        where = entry + (12 if layout.big else 8)
        if struct.calcsize(f"{layout.order}{values}") * count > (8 if layout.big else 4):
            (where,) = struct.unpack_from(layout.offset, data, where)
        form = struct.Struct(layout.order + values * min(count, _WANTED[tag]))
        tags[tag] = form.unpack_from(data, where)
    return tags


def read_tiff(data: bytes, page: int, limits: Limits) -> Header:
    pages = tiff_pages(data, limits)
    if page > len(pages):
        raise ItemError(Code.MISSING, f"there is no page {page} in the TIFF")
    tags = _tags(data, pages[page - 1].offset)
    if not tags.get(_WIDTH) or not tags.get(_HEIGHT):
        raise truncated(FileType.TIFF)
    offsets = tags.get(_STRIPS) or tags.get(_TILES) or ()
    sizes = tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES) or ()
    if not offsets or any(
        start + size > len(data) for start, size in zip(offsets, sizes, strict=False)
    ):
        raise truncated(FileType.TIFF)
    # A damaged entry may hold no value at all.
    samples = (tags.get(_SAMPLES) or (1,))[0]
    depth = max(tags.get(_BITS) or (1,))
    dpi, aspect = _tiff_dpi(tags)
    return Header(
        FileType.TIFF,
        tags[_WIDTH][0],
        tags[_HEIGHT][0],
        samples,
        depth,
        depth in (1, 8) and samples in (1, 3) and (tags.get(_PHOTOMETRIC) or (1,))[0] in (0, 1, 2),
        dpi,
        frame=pages[page - 1].number,
        aspect=aspect,
    )


def _tiff_dpi(tags: dict[int, tuple[int, ...]]) -> tuple[float | None, float]:
    """The resolution, and a pixel's aspect."""
    unit = (tags.get(_RESOLUTION_UNIT) or (2,))[0]
    inches = {1: 1.0, 2: 1.0, 3: 2.54}.get(unit, 0.0)
    across, down = (_ratio(tags.get(tag, ())) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    dpi, aspect = resolution(across * inches, (down or across) * inches)
    return (None if unit == 1 else dpi), aspect


def _ratio(values: tuple[int, ...]) -> float:
    above, below = (*values, 0, 0)[:2]
    return above / below if below else 0.0
