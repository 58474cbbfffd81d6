"""Where images come from: files, folders, glob patterns, a list on standard input, S3 prefixes.

The ``source`` of a row, the name of its image, is determined here:

- for a file named directly: the path as given;
- for a file found in a folder: the path below that folder, with / between its parts;
- for an object below ``s3://bucket/prefix/``: the key below the prefix; named directly: its URL.

A pattern means the paths that it matches, as if each had been given, except those below a folder
that it matches too: they are included with the folder. If several paths lead to the same source,
the later one is prefixed with its folder as given (``b/1.png``), and if that is taken too, " (2)",
" (3)" ... is appended.

In a folder, every regular file counts as an image, whatever its name, except: hidden files and
folders (a leading dot); what operating systems, network storage and office programs leave behind
(`inkmill.folders`); and tables and templates beside the scans (.csv, .json, .jsonl, .parquet,
.toml, .xlsx, .yaml, .yml), unless their content is an image. Those are skipped and counted. A file
that is named directly is always submitted.

Links in a folder are followed as long as they stay in it. One that leads out of it has a row with
MISSING, unless links are to be followed anywhere.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Protocol

from inkmill.backends.store import Store
from inkmill.errors import ItemError, UsageError
from inkmill.folders import skipped
from inkmill.imagefile.sniff import HEAD_BYTES, sniff
from inkmill.producer.inputs import listing, patterns
from inkmill.producer.inputs.regular import is_below, is_regular, leads_out, read_regular
from inkmill.producer.inputs.source_names import as_given, distinct, printable
from inkmill.records.image_ref import S3_PREFIX, UserObject, parse_url

STDIN = "-"
UNKNOWN = "0"
_BESIDE = (".csv", ".json", ".jsonl", ".parquet", ".toml", ".xlsx", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Found:
    """One image that was named or found.

    It is at ``path`` on this machine, or at ``ref`` in S3. ``size`` is in bytes; ``changed`` is its
    modification time (ns), in S3 its ETag. ``problem`` is the reason why it cannot be read, if it
    is known already. ``within`` is the real path of the folder that links to it must not leave;
    empty if they may lead anywhere.
    """

    source: str
    path: str = ""
    ref: UserObject | None = None
    size: int = 0
    changed: str = UNKNOWN
    problem: str = ""
    within: str = ""


class Sources(Protocol):
    """Images that can be iterated as often as needed, always in the same order.

    ``passed_over`` counts the files that the last pass skipped, by reason.
    """

    passed_over: Counter[str]

    def __iter__(self) -> Iterator[Found]: ...


class Inputs:
    """The inputs of a submit, which can be iterated repeatedly, always in the same order.

    Memory holds at most 200,000 names of a folder at a time (`listing`), the paths that a pattern
    matches and, if sources may be equal, 8 bytes for each. ``passed_over`` counts the files that
    the last pass skipped, by reason.
    """

    def __init__(
        self,
        paths: Sequence[str],
        buckets: Sequence[str] = (),
        open_bucket: Callable[[str], Store] | None = None,
        stdin: IO[str] | None = None,
        follow_symlinks: bool = False,
    ) -> None:
        """Raises UsageError for a path that does not exist or a bucket that is not allowed.

        Unless ``follow_symlinks``, links found in a folder must not lead out of it.
        """
        if not paths:
            raise UsageError("nothing to submit: give files, folders, patterns, - or s3:// URLs")
        self._open_bucket = open_bucket
        self._follow = follow_symlinks
        self._listed = _spool(stdin, buckets) if STDIN in paths else None
        self._paths = [_checked(path, buckets) for path in paths]
        self.passed_over: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Found]:
        self.passed_over = Counter()
        first, *others = self._paths
        if not others and first != STDIN and not _is_pattern(first):
            yield from self._below(first)  # one folder has no equal sources
            return
        taken: set[bytes] = set()
        for path in self._each():
            for found in self._below(path):
                source = distinct(found.source, path, taken)
                yield found if source == found.source else replace(found, source=source)

    def _each(self) -> Iterator[str]:
        """The paths one by one: the lines of a list, the matches of a pattern."""
        for path in self._paths:
            for name in self._list() if path == STDIN else (path,):
                yield from patterns.matches(name) if _is_pattern(name) else (name,)

    def _list(self) -> Iterator[str]:
        assert self._listed is not None
        self._listed.seek(0)
        yield from filter(None, (line.rstrip("\r\n") for line in self._listed))

    def _below(self, path: str) -> Iterator[Found]:
        if path.startswith(S3_PREFIX):
            yield from self._objects(path)
        elif os.path.isdir(path):  # noqa: PTH112 - path text is kept as it was given
            within = "" if self._follow else os.path.realpath(path)
            yield from self._folder(path, "", (), within)
        else:
            yield _file(path, as_given(path)) or Found(
                as_given(path), path, problem="neither a file nor a folder"
            )

    def _folder(
        self, folder: str, below: str, above: tuple[tuple[int, int], ...], within: str
    ) -> Iterator[Found]:
        """Everything in a folder, sorted by path; links back to a folder above are not followed.

        Nor are links that lead out of the folder ``within``, if one is given.
        """
        try:
            about = os.stat(folder)  # noqa: PTH116 - a million Paths cost seconds
            names = listing.names(folder)
        except OSError as error:
            yield Found(printable(below or folder), folder, problem=_reason(error))
            return
        here = (about.st_dev, about.st_ino)
        if here in above:
            self.passed_over["links back"] += 1
            return
        for name, is_link in names:
            bare, path = name.rstrip("/"), f"{folder.rstrip('/')}/{name}".rstrip("/")
            if reason := skipped(bare):
                self.passed_over[reason] += 1
            elif is_link and within and not is_below(os.path.realpath(path), within):
                yield Found(printable(below + bare), path, problem=leads_out().message)
            elif name.endswith("/"):
                yield from self._folder(path, f"{below}{name}", (*above, here), within)
            else:
                yield from self._in_folder(_file(path, printable(below + bare), within))

    def _in_folder(self, found: Found | None) -> Iterator[Found]:
        """A file of a folder, unless it is no image."""
        if found is None:
            self.passed_over["no regular files"] += 1
        elif found.path.lower().endswith(_BESIDE) and not _is_image(found):
            self.passed_over["tables and templates"] += 1
        else:
            yield found

    def _objects(self, url: str) -> Iterator[Found]:
        """The objects that an s3:// URL stands for: one key, all below a folder, or a prefix*."""
        assert self._open_bucket is not None
        named = parse_url(url)
        bucket, prefix = named.bucket, named.key
        store = self._open_bucket(bucket)
        if prefix.endswith("*"):
            prefix, base = prefix[:-1], prefix.rpartition("/")[0]
        elif prefix and not prefix.endswith("/"):
            if store.head(prefix) is not None:
                yield Found(url, ref=named)
                return
            prefix, base = f"{prefix}/", prefix
        else:
            base = prefix.rstrip("/")
        for entry in store.list(prefix):
            below = entry.key[len(base) :].lstrip("/") if base else entry.key
            if entry.key.endswith("/"):
                continue
            reasons = filter(None, map(skipped, below.split("/")))
            if reason := next(reasons, None):
                self.passed_over[reason] += 1
            elif below.lower().endswith(_BESIDE):
                self.passed_over["tables and templates"] += 1
            else:
                ref = UserObject(bucket, entry.key)
                yield Found(below, ref=ref, size=entry.size, changed=entry.etag)


def _checked(path: str, buckets: Sequence[str]) -> str:
    if path == STDIN:
        return path
    if path.startswith(S3_PREFIX):
        bucket = path.removeprefix(S3_PREFIX).partition("/")[0]
        if bucket not in buckets:
            raise UsageError(
                f"{path}: bucket {bucket!r} is not an allowed input bucket: add it to "
                "INKMILL_INPUT_BUCKETS"
            )
    elif _is_pattern(path):
        if next(patterns.found(path), None) is None:
            raise UsageError(
                f"{path}: nothing matches this pattern: check it and the current folder"
            )
    elif not os.path.lexists(path):
        raise UsageError(f"{path}: file not found: check the path and the current folder")
    return path


def _is_pattern(path: str) -> bool:
    return not path.startswith(S3_PREFIX) and patterns.is_pattern(path)


def _spool(stdin: IO[str] | None, buckets: Sequence[str]) -> IO[str]:
    """Copy a list on standard input, which can be read once, to a file that can be read again."""
    import sys

    # Kept open as long as the Inputs; the system removes the nameless file after that.
    file = tempfile.TemporaryFile(  # noqa: SIM115
        "w+", encoding="utf-8", errors="surrogateescape", newline="\n"
    )
    for line in stdin or sys.stdin:
        if "\0" in line:
            raise UsageError("-: give one path per line, without NUL bytes (find without -print0)")
        if line.startswith(S3_PREFIX):
            _checked(line.rstrip("\r\n"), buckets)
        file.write(line)
    return file


def _file(path: str, source: str, within: str = "") -> Found | None:
    """One file, or None if it is not a regular one (a device, a pipe)."""
    try:
        about = os.stat(path)  # noqa: PTH116 - a million Paths cost seconds
    except OSError as error:
        return Found(source, path, problem=_reason(error))
    if not is_regular(about):
        return None
    changed = str(about.st_mtime_ns)
    return Found(source, path, size=about.st_size, changed=changed, within=within)


def _reason(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def _is_image(found: Found) -> bool:
    if found.problem:
        return False
    try:
        head = read_regular(found.path, HEAD_BYTES, HEAD_BYTES - 1, found.within)
    except (OSError, ItemError):
        return False
    return sniff(head) is not None
