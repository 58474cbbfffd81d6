"""TIFF and BigTIFF headers: the chain of pages, and each page's size and strips."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.imagefile.headers import FileType, Header, Limits, truncated

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC = 256, 257, 258, 262
_STRIPS, _ORIENTATION, _SAMPLES, _STRIP_BYTES = 273, 274, 277, 279
_X_RESOLUTION, _RESOLUTION_UNIT, _TILES, _TILE_BYTES, _EXTRA = 282, 296, 324, 325, 338
_WANTED = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _STRIPS, _ORIENTATION, _SAMPLES, _STRIP_BYTES}
    | {_X_RESOLUTION, _RESOLUTION_UNIT, _TILES, _TILE_BYTES, _EXTRA}
)
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 5: "II", 16: "Q"}


def tiff_directories(data: bytes, limits: Limits) -> Iterator[dict[int, tuple[int, ...]]]:
    """The wanted tags of each page of a TIFF (or BigTIFF), in order, by walking the chain.

    Raises ItemError TRUNCATED where the chain leaves the file or bites its tail, TOO_LARGE when
    it is longer than ``limits.max_pages``.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\x00", b"\x00+")
    offset_format = order + ("Q" if big else "I")
    seen: set[int] = set()
    try:
        (offset,) = struct.unpack_from(offset_format, data, 8 if big else 4)
        while offset:
            if offset in seen or not 0 < offset < len(data):
                raise truncated(FileType.TIFF)
            seen.add(offset)
            if len(seen) > limits.max_pages:
                raise ItemError(
                    Code.TOO_LARGE, f"more than {limits.max_pages} pages: split the file"
                )
            tags, end = _tiff_directory(data, offset, order, big)
            yield tags
            (offset,) = struct.unpack_from(offset_format, data, end)
    except struct.error as error:
        raise truncated(FileType.TIFF) from error
    if not seen:
        raise truncated(FileType.TIFF)


def _tiff_directory(
    data: bytes, offset: int, order: str, big: bool
) -> tuple[dict[int, tuple[int, ...]], int]:
    """One directory's wanted tags, and the position of the link to the next."""
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, offset)
    offset += 8 if big else 2
    size, inline = (20, 8) if big else (12, 4)
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(offset, offset + min(entries, 4096) * size, size):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag not in _WANTED or kind not in _TIFF_TYPES:
            continue
        (count,) = struct.unpack_from(order + ("Q" if big else "I"), data, entry + 4)
        value_format = _TIFF_TYPES[kind]
        if count * len(value_format) > len(data):
            raise truncated(FileType.TIFF)
        layout = struct.Struct(order + value_format * count)
        where = entry + (12 if big else 8)
        if layout.size > inline:
            (where,) = struct.unpack_from(order + ("Q" if big else "I"), data, where)
        tags[tag] = layout.unpack_from(data, where)
    return tags, offset + entries * size


def read_tiff(data: bytes, page: int, limits: Limits) -> Header:
    tags = next(islice(tiff_directories(data, limits), page - 1, page), None)
    if tags is None:
        raise ItemError(Code.MISSING, f"there is no page {page} in the TIFF")
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
    return Header(
        FileType.TIFF,
        tags[_WIDTH][0],
        tags[_HEIGHT][0],
        samples,
        depth,
        depth in (1, 8) and samples in (1, 3) and (tags.get(_PHOTOMETRIC) or (1,))[0] in (0, 1, 2),
        _tiff_dpi(tags),
    )


def _tiff_dpi(tags: dict[int, tuple[int, ...]]) -> float | None:
    above, below = (*tags.get(_X_RESOLUTION, ()), 0, 0)[:2]
    if not above or not below:
        return None
    unit = (tags.get(_RESOLUTION_UNIT) or (2,))[0]
    return {2: above / below, 3: 2.54 * above / below}.get(unit)
