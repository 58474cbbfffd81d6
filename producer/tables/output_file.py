"""The file a user asked for: it appears complete or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EISDIR
from pathlib import Path
from typing import IO

from inkmill.errors import UsageError


@contextmanager
def opened(path: Path | None) -> Iterator[IO[bytes]]:
    """Open the destination of a table: standard output (None), an existing device or pipe, a file.

    A file replaces an older one only when it is complete. Raises UsageError if it cannot be
    written.
    """
    with writing(path):
        if path is None:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        elif path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
        else:
            with _whole_file(path.resolve()) as file:
                yield file


def check(path: Path) -> None:
    """Raise UsageError if `opened` could not write there: called before hours of work."""
    with writing(path):
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        if path.is_file() or not path.exists():
            tempfile.TemporaryFile(dir=path.resolve().parent).close()


@contextmanager
def writing(path: Path | None) -> Iterator[None]:
    """Turn an OSError into a UsageError that names the file or folder."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        where = "standard output" if path is None else f"-o {path}"
        raise UsageError(f"{where}: cannot be written ({error.strerror or error})") from None


@contextmanager
def _whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file beside ``path`` that replaces it once everything is written."""
    file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - renamed, not closed, at the end
        "wb", dir=path.parent, prefix=f".{path.name}.", delete=False
    )
    written = Path(file.name)
    try:
        with file:
            yield file
        # As open() would have made it; a temporary file is private.
        mask = os.umask(0)
        os.umask(mask)
        written.chmod(0o666 & ~mask)
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)
