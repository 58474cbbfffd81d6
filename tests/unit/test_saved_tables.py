"""Tables, lists and names as people's programs write them mean what they meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill.codes import Code
from inkmill.errors import FormError, UsageError
from inkmill.folders import same_name, skipped
from inkmill.forms.make.table import build
from inkmill.producer.inputs.document_keys import read_keys
from inkmill.producer.inputs.expect import read_list, with_missing
from inkmill.producer.inputs.sources import Inputs
from inkmill.producer.watch import Watch
from inkmill.records.chunks import Item
from inkmill.saved_tables import dict_rows, read_text
from inkmill.template.form import Form
from tests.fakes import FakeCluster, png

Scans = Callable[..., Path]

FORM = Form.load(Path(__file__).parents[2] / "examples/forms/tally.yaml")

NFC, NFD = "M\u00fcller.png", "Mu\u0308ller.png"
#: How spreadsheet programs save: encoding, and what separates the columns.
SAVED = [
    ("utf-8", ","),
    ("utf-8-sig", ";"),
    ("cp1252", ";"),
    ("cp1252", ","),
    ("utf-16", "\t"),
    ("utf-16-le", "\t"),
    ("utf-16-be", ";"),
]


@pytest.mark.parametrize(("encoding", "between"), SAVED)
def test_a_table_is_read_however_it_was_saved(tmp_path: Path, encoding: str, between: str) -> None:
    path = tmp_path / "table.csv"
    lines = [["source", "key"], ["M\u00fcller.png", "\u00c4-1"], ["b.png", "7"]]
    path.write_bytes("\r\n".join(between.join(line) for line in lines).encode(encoding))
    assert [list(row.values()) for row in dict_rows(read_text(path))] == lines[1:]
    assert read_keys(path).entries == {("M\u00fcller.png", 0): "\u00c4-1", ("b.png", 0): "7"}
    assert read_list(path) == ["M\u00fcller.png", "b.png"]


@pytest.mark.parametrize("data", [b"a\0b\0\0\1", b"\x89PNG\r\n\0\0\1\2", b"caf\x81"])
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "table.csv").write_bytes(data)
    with pytest.raises(ValueError, match=r"NUL|codec|decode"):
        read_text(tmp_path / "table.csv")


def test_a_quotation_mark_that_is_missing_is_named_with_its_line(tmp_path: Path) -> None:
    path, rest = tmp_path / "table.csv", "b.png,7\n" * 20_000
    path.write_text(f'source,key\na.png,"7\n{rest}')
    why = r", line \d+: a cell of more than 131,072 characters: a quotation mark is missing"
    for read in (read_keys, read_list):
        with pytest.raises(UsageError, match=why):
            read(path)
    with pytest.raises(FormError, match=f"draft.csv{why}"):
        build(FORM, f'number,name\n1,"a\n{rest}', "draft.csv")
    path.write_text(f'"a".png\n"b.png\n{rest}')
    assert len(read_list(path)) == 3, "a list of names is no table"


def test_a_page_is_a_number_that_pages_have(tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    for wrong in ("0", "1.5", "9" * 5000, "\u00b2"):
        path.write_text(f"source,page,key\na.png,{wrong},7\n", encoding="utf-8")
        with pytest.raises(UsageError, match=r"line 2: .* is not a page: count from 1"):
            read_keys(path)


@pytest.mark.parametrize(("listed", "there"), [(NFC, NFD), (NFD, NFC), (NFC, NFC)])
def test_names_are_the_same_however_their_letters_are_composed(
    tmp_path: Path, listed: str, there: str
) -> None:
    assert same_name(listed) == same_name(there)
    path = tmp_path / "keys.csv"
    path.write_text(f"source,key\n{listed},A\n", encoding="utf-8")
    keys = read_keys(path)
    assert [item.document_key for item in keys.given([Item(0, f"x/{there}")])] == ["A"]
    assert not keys.unused
    left = list(with_missing([Item(0, there)], [listed, "gone.png"], "list.csv"))
    assert [(item.source, item.code) for item in left] == [
        (there, None),
        ("gone.png", Code.MISSING),
    ]


def test_a_watch_knows_a_listed_name_in_the_other_form(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / NFD).write_bytes(png(1))
    expected = tmp_path / "list.txt"
    expected.write_text(f"{NFC}\n", encoding="utf-8")
    for _ in range(2):  # the second reads what the first stored
        watched = Watch(cluster.connection, str(folder), name="in", once=True, expect=expected)
        watched.look()
        assert watched.absent() == []


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir/a.png",
        "#recycle/a.png",
        "__MACOSX/a.png",
        "$RECYCLE.BIN/a.png",
        "System Volume Information/x",
        ".ipynb_checkpoints/a.png",
        "~$list.xlsx",
        "Thumbs.db",
        "ehthumbs.db",
    ],
)
def test_what_file_managers_leave_behind_is_passed_over(scans: Scans, name: str) -> None:
    folder = scans(["a.png", name])
    inputs = Inputs([str(folder)])
    assert [found.source for found in inputs] == ["a.png"]
    assert sum(inputs.passed_over.values()) == 1


@pytest.mark.parametrize("name", ["a.png", "recycle", "eaDir", "#1.png", "@7.tif", "$1.png"])
def test_names_that_only_look_alike_are_images(name: str) -> None:
    assert not skipped(name)
