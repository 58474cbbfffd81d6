"""What somebody who drops files could drop into a folder; each takes an empty folder."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

Drop = Callable[[Path], object]


def _part(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, body: bytes = b"", extra: bytes = b"") -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + _part(b"IDAT", body) + _part(b"IEND", b"")


def _text_bomb() -> bytes:
    data = b"Comment\0\0" + zlib.compress(b"x" * 2**28, 9)
    return (
        struct.pack(">I", len(data))
        + b"zTXt"
        + data
        + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    )


def _tiff(directories: int, size: int, following: Callable[[int], int] | None = None) -> bytes:
    """Directories that name 13 tags of ``size`` values each; ``following`` says which is next."""
    tags = (256, 257, 258, 262, 273, 274, 277, 279, 282, 296, 324, 325, 338)
    length = 2 + 12 * len(tags) + 4
    made = bytearray(b"II*\0" + struct.pack("<I", 8))
    for number in range(directories):
        made += struct.pack("<H", len(tags))
        for tag in tags:
            made += struct.pack("<HHII", tag, 1, size, 8)
        after = number + 1 if number + 1 < directories else -1
        after = following(number) if following else after
        made += struct.pack("<I", 8 + length * after if after >= 0 else 0)
    return bytes(made) + b"\1" * min(size, 4_000_000)


def _pdf(*objects: bytes) -> bytes:
    """A PDF of these objects, from number 1 on; the first is its catalogue."""
    made, places = bytearray(b"%PDF-1.7\n"), list[int]()
    for number, each in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(made) + trailer % (len(objects) + 1, start)


_CATALOGUE = b"<< /Type /Catalog /Pages 2 0 R >>"
_PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %s %s] /Contents 4 0 R >>"


def _bomb_page(size: bytes, content: bytes) -> bytes:
    packed = zlib.compress(content, 9)
    stream = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)
    pages = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    return _pdf(_CATALOGUE, pages, _PAGE % (size, size), stream)


def _gif(frames: int) -> bytes:
    frame = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    return b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * frames + b";"


def _sparse(name: str, head: bytes, size: int) -> Drop:
    def drop(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.write(head)
            file.truncate(size)

    return drop


def _socket(folder: Path) -> None:
    here = os.open(folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/socket.png")
    os.close(here)


def _levels(folder: Path) -> None:
    for _ in range(150):
        folder = folder / "d"
    folder.mkdir(parents=True)
    (folder / "deep.png").write_bytes(b"")


def _loop(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "up").symlink_to(folder)
    (folder / "x.png").symlink_to("y.png")
    (folder / "y.png").symlink_to("x.png")


def _named(name: bytes) -> Drop:
    return lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"junk")


def _file(name: str, made: Callable[[], bytes]) -> Drop:
    return lambda folder: (folder / name).write_bytes(made())


def _jpeg_of_65535() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    data = buffer.getvalue()
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", 65535, 65535) + data[place + 4 :]


#: None of these can be a scan: they have no row.
PASSED_OVER: dict[str, Drop] = {
    "a pipe": lambda folder: os.mkfifo(folder / "pipe.png"),
    "a pipe named as a table": lambda folder: os.mkfifo(folder / "keys.csv"),
    "a pipe named as a template": lambda folder: os.mkfifo(folder / "form.yaml"),
    "a socket": _socket,
    "a folder with the name of a picture": lambda folder: (folder / "folder.png").mkdir(),
}
#: Each of these has one row or more, and nothing of them is read as a digit.
WITH_ROWS: dict[str, Drop] = {
    "a link to a device": lambda folder: (folder / "zero.png").symlink_to("/dev/zero"),
    "a link to a terminal": lambda folder: (folder / "tty.tif").symlink_to("/dev/tty"),
    "a link to a process": lambda folder: (folder / "env.png").symlink_to("/proc/self/environ"),
    "a link that leads out": lambda folder: (folder / "out.png").symlink_to("/etc/passwd"),
    "a link to nothing": lambda folder: (folder / "gone.png").symlink_to("nowhere.png"),
    "links in a circle": _loop,
    "an empty file": _file("empty.png", lambda: b""),
    "a file of a terabyte": _sparse("sparse.png", _png(8, 8), 10**12),
    "a TIFF of a terabyte": _sparse("sparse.tif", b"II*\0\x08\0\0\0", 10**12),
    "a folder 150 levels deep": _levels,
    "a name with a line break": _named(b"a\nb.png"),
    "a name that is no UTF-8": _named(b"\xff\xfe.png"),
    "a name with escapes": _named(b"\x1b[31m.png"),
    "a name of 250 bytes": _named(b"n" * 246 + b".png"),
    "a name like an option": _named(b"--help.png"),
    "a name like a formula": _named(b"=cmd|' x'!A1.png"),
    "a picture of ten gigapixels": _file("wide.png", lambda: _png(100_000, 100_000)),
    "a picture of nothing": _file("none.png", lambda: _png(0, 0)),
    "a picture of sizes below none": _file("neg.png", lambda: _png(2**32 - 1, 2**32 - 1)),
    "pixels that unfold to a gigabyte": _file(
        "bomb.png", lambda: _png(100, 100, zlib.compress(b"\0" * 2**28, 9))
    ),
    "a comment that unfolds": _file("text.png", lambda: _png(8, 8, b"x", _text_bomb())),
    "a JPEG of four gigapixels": _file("wide.jpg", _jpeg_of_65535),
    "a GIF of 100,000 frames": _file("many.gif", lambda: _gif(100_000)),
    "TIFF directories of a million values": _file("values.tif", lambda: _tiff(40, 10**6)),
    "a hundred thousand TIFF directories": _file("many.tif", lambda: _tiff(20_000, 1)),
    "a TIFF directory that leads to itself": _file("self.tif", lambda: _tiff(3, 1, lambda _: 0)),
    "TIFF directories in a circle": _file("ring.tif", lambda: _tiff(9, 1, lambda n: (n + 1) % 9)),
    "TIFF values without end": _file("end.tif", lambda: _tiff(2, 2**32 - 1)),
    "a BigTIFF that is a head": _file("big.tif", lambda: b"II+\0\x08\0\0\0" + b"\xff" * 8),
    "a PDF whose pages contain themselves": _file(
        "self.pdf", lambda: _pdf(_CATALOGUE, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 9 >>")
    ),
    "a PDF that claims a billion pages": _file(
        "claims.pdf", lambda: _pdf(_CATALOGUE, b"<< /Type /Pages /Kids [] /Count 1000000000 >>")
    ),
    "a PDF of a page of a kilometre": _file("km.pdf", lambda: _bomb_page(b"9999999", b"")),
    "a PDF whose page unfolds": _file("unfolds.pdf", lambda: _bomb_page(b"200", b"q " * 2**26)),
    "a PDF that is a head": _file("head.pdf", lambda: b"%PDF-1.7\n"),
    "an archive": _file("archive.png", lambda: b"PK\3\4" + b"\0" * 100),
    "a program": _file("program.png", lambda: b"\x7fELF" + b"\0" * 100),
    "a web page": _file("page.png", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
}
