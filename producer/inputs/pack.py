"""Images become items, and items become chunks, while later images are still being read.

A file of one page is part of its chunk, unchanged. A document of several pages (TIFF, PDF) is
stored once under its digest, and each of its pages is an item that refers to it; so is a single
page that is too large to share a chunk. Nothing is decoded or rendered; pages are counted in a
process without credentials. A file that cannot be read, or whose pages cannot be counted, is one
item with the reason.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from inkmill import names
from inkmill.backends.store import S3Store, Store, exists
from inkmill.codes import Code
from inkmill.errors import ItemError, NotFound, PreconditionFailed, StoreDenied
from inkmill.imagefile.sniff import Limits
from inkmill.producer.inputs.page_counter import PageCounter, shared
from inkmill.producer.inputs.regular import read_regular
from inkmill.producer.inputs.sources import Found
from inkmill.producer.inputs.unchanged import Glances
from inkmill.producer.overlap import overlapped
from inkmill.records import sizing
from inkmill.records.chunks import Chunk, Item
from inkmill.records.image_ref import JobFile, UserObject

#: A chunk's images, in bytes: small enough to be read, sent and held several at a time.
CHUNK_BYTES = 16 * 2**20
#: A single page larger than this is stored as an object of its own instead of in its chunk.
_INLINE_BYTES = 8 * 2**20
#: Larger files are read one at a time, so that only one of them is in memory.
_LARGE_BYTES = 32 * 2**20
#: Files that one thread reads at a time: enough work to be worth the hand-over.
_GROUP_FILES = 64
_GROUP_BYTES = 4 * 2**20
_READERS = 4
_NO_LOCK = nullcontext()
#: Only these objects of a user's bucket are fetched at submit, to count their pages.
_PAGED = (".tif", ".tiff", ".pdf")


@dataclass
class Packer:
    """Reads images and makes items of them (with number 0; `chunks` numbers them).

    ``job`` owns the stored images; without one, nothing is stored (to compare inputs only).
    ``announce`` is called before an image is stored. ``glances`` notes what was read.
    """

    store: Store
    job: str | None
    limits: Limits = field(default_factory=Limits)
    max_file_bytes: int = 256 * 2**20
    open_bucket: Callable[[str], S3Store] | None = None
    announce: Callable[[], None] | None = None
    counter: PageCounter = field(default_factory=shared)
    glances: Glances | None = None

    def __post_init__(self) -> None:
        self._stored: set[str] = set()
        self._lock = threading.Lock()
        self._large = threading.Lock()

    def items(self, inputs: Iterable[Found]) -> Iterator[Item]:
        """The items of all inputs, in order; files are read ahead in threads."""
        groups = overlapped(self._read_group, _groups(inputs), _READERS, ahead=_READERS + 2)
        for group in groups:
            yield from group

    def _read_group(self, group: list[Found]) -> list[Item]:
        return [item for found in group for item in self._noted(found)]

    def _noted(self, found: Found) -> list[Item]:
        items = self.read(found)
        if self.glances is not None:
            self.glances.note(found, items)
        return items

    def read(self, found: Found) -> list[Item]:
        """The items of one image: one per page, or one with the reason why there is none."""
        try:
            if found.problem:
                raise ItemError(Code.MISSING, found.problem)
            self._check_size(found.size)
            with self._large if found.size > _LARGE_BYTES else _NO_LOCK:
                return self._object(found, found.ref) if found.ref else self._file(found)
        except ItemError as error:
            return [Item(0, found.source, ref=found.ref, code=error.code, message=error.message)]

    def _check_size(self, size: int) -> None:
        if size > self.max_file_bytes:
            raise ItemError(
                Code.TOO_LARGE,
                f"{size:,} bytes, but at most {self.max_file_bytes:,} are allowed: split the file "
                "or raise INKMILL_MAX_FILE_BYTES",
            )

    def _file(self, found: Found) -> list[Item]:
        try:
            data = read_regular(found.path, found.size, self.max_file_bytes, found.within)
        except OSError as error:
            raise ItemError(Code.MISSING, f"cannot be read: {error.strerror or error}") from error
        self._check_size(len(data))
        pages = self.counter.count(data, self.limits)
        digest = hashlib.sha256(data).hexdigest()
        if pages == 1 and len(data) <= _INLINE_BYTES:
            return [Item(0, found.source, data=data, sha256=digest)]
        self._keep(digest, data)
        ref = JobFile(digest)
        return [Item(0, found.source, page, ref=ref, sha256=digest) for page in range(1, pages + 1)]

    def _keep(self, digest: str, data: bytes) -> None:
        """Store an image once; the chunk that refers to it is written afterwards."""
        if self.job is None:
            return
        with self._lock:
            if digest in self._stored:
                return
        if self.announce is not None:
            self.announce()
        key = names.image(self.job, digest)
        if not exists(self.store, key):
            # Another submit of the same file may be faster; the key is the digest of the content.
            with suppress(PreconditionFailed):
                self.store.put(key, data, if_none_match=True)
        with self._lock:
            self._stored.add(digest)

    def _object(self, found: Found, ref: UserObject) -> list[Item]:
        """An object of the user is not copied; workers fetch it."""
        if not ref.key.lower().endswith(_PAGED):
            return [Item(0, found.source, ref=ref)]
        assert self.open_bucket is not None
        try:
            # Not `get`, which takes metadata for ours: users may have a "sha256" of their own.
            data = self.open_bucket(ref.bucket).get_limited(ref.key, self.max_file_bytes)
        except NotFound as error:
            raise ItemError(Code.MISSING, f"{ref} no longer exists") from error
        except StoreDenied as error:
            raise ItemError(Code.MISSING, str(error)) from error
        digest = hashlib.sha256(data).hexdigest()
        return [
            Item(0, found.source, page, ref=ref, sha256=digest)
            for page in range(1, self.counter.count(data, self.limits) + 1)
        ]


def _groups(inputs: Iterable[Found]) -> Iterator[list[Found]]:
    """Small files in groups, so that each is worth a task for a thread; large ones alone."""
    group, size = list[Found](), 0
    for found in inputs:
        if group and (len(group) == _GROUP_FILES or size + found.size > _GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(found)
        size += found.size
    if group:
        yield group


def chunks(
    job: str, items: Iterable[Item], chunk_size: int, *, number: int = 0, first: int = 0
) -> Iterator[Chunk]:
    """Items, numbered in order, in chunks of at most ``chunk_size`` and about CHUNK_BYTES.

    ``number`` is that of the first chunk, ``first`` that of its first item.
    """
    part, size = list[Item](), 0
    for position, item in enumerate(items, first):
        if part and (len(part) == chunk_size or size + len(item.data) > CHUNK_BYTES):
            yield Chunk(job, number, tuple(part))
            part, size, number = [], 0, number + 1
        part.append(item.numbered(position))
        size += len(item.data)
    if part:
        yield Chunk(job, number, tuple(part))


def chunk_size(asked: int | None, setting: int | str, form: bool, speed: float = 0.0) -> int:
    """Items per chunk: as asked, otherwise by the setting, otherwise by the kind of image and the
    items per second that an engine reads of it (0 for unknown)."""
    if asked is not None:
        return asked
    if isinstance(setting, int):
        return setting
    return sizing.chunk_size(form, speed)
