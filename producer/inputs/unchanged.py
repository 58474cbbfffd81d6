"""Files that an earlier submit stored already, recognised without reading them.

Size and time of change are hints, the digest is the proof. Each chunk object carries in its
metadata how many files it is made of, and a digest of their sources, sizes and times: its glance.
When the same submit is repeated, to continue one that was killed or to ask whether anything
changed, a chunk whose files have the same glance is taken as it is; the files of any other are
read, and its digest decides. So copying a folder with new times costs reading, never a wrong
refusal; and a file that was changed without a change of size or time is found by ``--rehash``
alone.

The glance of a file that was changed less than two seconds before it was read says nothing: it
might be changed again within the same tick of the file system's clock (Git calls this racy).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from inkmill import names
from inkmill.backends.store import Store
from inkmill.producer.inputs.sources import UNKNOWN, Found
from inkmill.producer.overlap import overlapped
from inkmill.records.chunks import DIGEST, FIRST, ITEMS, Chunk, Item
from inkmill.records.codec import MOST_IN_CHUNK

#: Metadata of a chunk object: how many files its items are from, the digest of what is known of
#: them without reading, and how many pages of the last one are in chunks up to this one, 0 for all.
FILES, GLANCE, GOES_ON = "files", "glance", "goes-on"

#: A file that changed so shortly before it was read may change again unseen (nanoseconds).
_RACY = 2 * 10**9
#: Requests for metadata at once, and how many in advance.
_THREADS, _AHEAD = 8, 64
#: A file that cannot be recognised: it is read.
_UNSURE = ""


class Glances:
    """Notes files while they are read, and says of each chunk what it was made of.

    ``note`` is called from many threads, ``of`` for the chunks in order.
    """

    def __init__(self) -> None:
        self._noted: dict[str, tuple[str, int]] = {}
        self._line, self._pages, self._left = _UNSURE, 0, 0
        self._before = 0

    def begin(self, before: int) -> None:
        """Chunks come from here on; so many pages of the first file are in earlier ones."""
        self._noted.clear()
        self._before = before

    def note(self, found: Found, items: Sequence[Item]) -> None:
        """These are all the items of a file that was just read."""
        # What could not be read is one item that says why: the next time it may be otherwise.
        sure = items[0].code is None and not _is_racy(found)
        self._noted[found.source] = (_line(found) if sure else _UNSURE, len(items))

    def of(self, chunk: Chunk) -> dict[str, str]:
        """The metadata by which the chunk's files are recognised; none if it has other items."""
        lines: list[str] = []
        for item in chunk.items:
            if not self._left:
                noted = self._noted.pop(item.source, None)
                if noted is None:
                    return {}
                self._line, self._pages = noted
                self._left, self._before = self._pages - self._before, 0
                lines.append(self._line)
            elif not lines:
                lines.append(self._line)
            self._left -= 1
        goes_on = self._pages - self._left if self._left else 0
        about = {FILES: str(len(lines)), GOES_ON: str(goes_on)}
        return about if _UNSURE in lines else {**about, GLANCE: _glance(lines)}


@dataclass(frozen=True, slots=True)
class Known:
    """A stored chunk whose files are as they were: its number, digest, items, and their bytes."""

    number: int
    digest: str
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a chunk's metadata say of its files."""

    number: int
    digest: str
    first: int
    count: int
    files: int
    glance: str
    goes_on: int

    @classmethod
    def of(cls, number: int, about: Mapping[str, str] | None) -> _Entry | None:
        """None for a chunk that is not there, or that does not say it."""
        try:
            if about is None:
                return None
            entry = cls(
                number,
                about[DIGEST],
                int(about[FIRST]),
                int(about[ITEMS]),
                int(about[FILES]),
                about.get(GLANCE, ""),
                int(about[GOES_ON]),
            )
        except (KeyError, ValueError):
            return None
        sound = 0 < entry.files <= entry.count <= MOST_IN_CHUNK and entry.goes_on >= 0
        return entry if sound else None


class Recognised:
    """A job's first chunks, as far as they can be told from the list of its files.

    ``found`` are the files from the first one on, ``read`` gives the items of some. When `chunks`
    has ended, ``number`` and ``items`` say which chunk and which item come next, ``taken`` how many
    pages of their first file are in chunks before, and ``rest`` gives the items from there on.
    """

    def __init__(
        self,
        store: Store,
        job: str,
        found: Iterator[Found],
        read: Callable[[Iterator[Found]], Iterator[Item]],
    ) -> None:
        self._store = store
        self._job = job
        self._found = found
        self._read = read
        self._open: Found | None = None
        self.number = self.items = self.taken = 0

    def chunks(self, count: int) -> Iterator[Known | Chunk]:
        """The first ``count`` chunks: known, or read to be compared. Ends where one does not say
        what it was made of."""
        for entry in overlapped(self._entry, range(count), _THREADS, ahead=_AHEAD):
            if entry is None or entry.first != self.items:
                return
            files = [self._open] if self._open is not None else []
            files += islice(self._found, entry.files - len(files))
            if not files:
                return
            lines = [_line(each) for each in files]
            if len(files) == entry.files and entry.glance == _glance(lines):
                yield Known(entry.number, entry.digest, entry.count, sum(f.size for f in files))
            else:
                yield self._again(entry, files)
            self.number, self.items = entry.number + 1, self.items + entry.count
            self._open, self.taken = (files[-1], entry.goes_on) if entry.goes_on else (None, 0)

    def _entry(self, number: int) -> _Entry | None:
        return _Entry.of(number, self._store.head(names.chunk(self._job, number)))

    def _again(self, entry: _Entry, files: list[Found]) -> Chunk:
        """The chunk as its files make it now, to be compared by its digest."""
        items = list(islice(self._read(iter(files)), self.taken, None))
        kept = items[: entry.count] if entry.goes_on else items
        numbered = (each.numbered(self.items + place) for place, each in enumerate(kept))
        return Chunk(self._job, entry.number, tuple(numbered))

    def rest(self) -> Iterator[Item]:
        """The items of everything behind the chunks that were given."""

        def found() -> Iterator[Found]:
            if self._open is not None:
                yield self._open
            yield from self._found

        return islice(self._read(found()), self.taken, None)


def _is_racy(found: Found) -> bool:
    if found.ref is not None:
        return False  # an ETag is no time
    return found.changed == UNKNOWN or time.time_ns() - int(found.changed) < _RACY


def _line(found: Found) -> str:
    # NUL is in no name, and the only text between the others: no two files look alike.
    return f"{found.source}\0{found.size}\0{found.changed}\0{found.problem}"


def _glance(lines: Sequence[str]) -> str:
    text = "\0\0".join(lines)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
