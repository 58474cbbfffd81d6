"""What a file is, by its header: kinds, pages, limits, wholeness."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.imagefile.sniff import FileType, Limits, count_pages, read_header, sniff


def encoded(kind: str, size: tuple[int, int] = (60, 40), **options: object) -> bytes:
    sink = io.BytesIO()
    Image.effect_noise(size, 60).save(sink, kind, **options)
    return sink.getvalue()


def stack(pages: int, kind: str = "TIFF", **options: object) -> bytes:
    images = [Image.new("L", (30 + number, 20), 200) for number in range(pages)]
    sink = io.BytesIO()
    images[0].save(sink, kind, save_all=True, append_images=images[1:], **options)
    return sink.getvalue()


KINDS = {
    "PNG": FileType.PNG,
    "JPEG": FileType.JPEG,
    "TIFF": FileType.TIFF,
    "WEBP": FileType.WEBP,
    "PDF": FileType.PDF,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_known_by_its_first_bytes(kind: str) -> None:
    data = encoded(kind)
    assert sniff(data[:64]) is KINDS[kind]
    assert read_header(data).kind is KINDS[kind]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_the_header_tells_the_size(kind: str) -> None:
    header = read_header(encoded(kind))
    assert (header.width, header.height) == (60, 40)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_half_a_file_is_truncated(kind: str, share: float) -> None:
    data = encoded(kind, (200, 160))
    cut = data[: max(64, int(len(data) * share))]
    with pytest.raises(ItemError) as caught:
        read_header(cut)
    assert caught.value.code is Code.TRUNCATED
    assert "again" in caught.value.message


def test_a_damaged_png_is_told_by_its_checksums() -> None:
    data = bytearray(encoded("PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ItemError) as caught:
        read_header(bytes(data))
    assert caught.value.code is Code.TRUNCATED


@pytest.mark.parametrize(
    ("head", "name", "remedy"),
    [
        (b"\0\0\0\x18ftypheic", "a HEIC photo", "Most Compatible"),
        (b"\0\0\0\x18ftypheis", "a HEIC photo", "save it as JPEG"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000", "save it as PNG"),
        (b"PK\x03\x04", "a ZIP archive", "unpack"),
        (b"PK\x03\x04" + bytes(26) + b"a.pdf%PDF-1.4", "a ZIP archive", "unpack"),
    ],
)
def test_a_known_format_that_is_not_read_is_named(head: bytes, name: str, remedy: str) -> None:
    with pytest.raises(ItemError, match=f"this is {name}.*{remedy}") as caught:
        read_header(head + bytes(100))
    assert caught.value.code is Code.UNSUPPORTED


@pytest.mark.parametrize(
    ("data", "code"), [(b"", Code.EMPTY_FILE), (b"item,value\n1,2\n", Code.NOT_AN_IMAGE)]
)
def test_no_image_at_all(data: bytes, code: Code) -> None:
    with pytest.raises(ItemError) as caught:
        count_pages(data)
    assert caught.value.code is code


@pytest.mark.parametrize("kind", ["TIFF", "PDF"])
def test_pages_are_counted_without_decoding(kind: str, tmp_path: Path) -> None:
    data = stack(3, kind)
    path = tmp_path / "stack.bin"
    path.write_bytes(data)
    assert count_pages(data) == count_pages(path) == 3


def test_each_page_of_a_tiff_has_its_own_size() -> None:
    data = stack(3)
    assert [read_header(data, page).width for page in (1, 2, 3)] == [30, 31, 32]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PDF"])
def test_a_page_that_is_not_there_is_missing(kind: str) -> None:
    with pytest.raises(ItemError) as caught:
        read_header(encoded(kind), page=4)
    assert caught.value.code is Code.MISSING


def test_animations_are_refused() -> None:
    frames = [Image.new("L", (20, 20), level) for level in (0, 255)]
    for kind in ("PNG", "WEBP"):
        sink = io.BytesIO()
        frames[0].save(sink, kind, save_all=True, append_images=frames[1:])
        with pytest.raises(ItemError, match="animation") as caught:
            read_header(sink.getvalue())
        assert caught.value.code is Code.UNSUPPORTED


def test_huge_dimensions_are_refused_by_the_header_alone() -> None:
    data = bytearray(encoded("JPEG"))
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", 60000, 60000)
    with pytest.raises(ItemError, match="60000 x 60000") as caught:
        read_header(bytes(data))
    assert caught.value.code is Code.TOO_LARGE


def test_too_many_pages_are_refused() -> None:
    with pytest.raises(ItemError, match="split the file") as caught:
        count_pages(stack(5), Limits(max_pages=4))
    assert caught.value.code is Code.TOO_LARGE


def test_a_tiff_whose_pages_go_round_in_a_circle_ends() -> None:
    data = bytearray(stack(1))
    (start,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * entries, start)
    with pytest.raises(ItemError) as caught:
        count_pages(bytes(data))
    assert caught.value.code is Code.TRUNCATED


def without_value(tag: int) -> bytes:
    """A TIFF in which an entry has come to hold no value."""
    data = bytearray(encoded("TIFF", dpi=(300, 300)))
    entry = next(
        place
        for place in range(len(data) - 12)
        if struct.unpack_from("<HHI", data, place) in ((tag, 3, 1), (tag, 4, 1))
    )
    struct.pack_into("<I", data, entry + 4, 0)
    return bytes(data)


@pytest.mark.parametrize("tag", [258, 262, 296])
def test_a_tiff_entry_without_a_value_means_what_is_usual(tag: int) -> None:
    header = read_header(without_value(tag), 1, Limits())
    assert (header.kind, header.width, header.height) == (FileType.TIFF, 60, 40)


def test_a_tiff_without_a_width_is_damaged() -> None:
    with pytest.raises(ItemError) as caught:
        read_header(without_value(256), 1, Limits())
    assert caught.value.code is Code.TRUNCATED
