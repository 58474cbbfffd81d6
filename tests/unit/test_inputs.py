"""What is named becomes images: each file once, and no two of one source."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from inkmill.errors import UsageError
from inkmill.producer.inputs.sources import Inputs

Named = Callable[[Sequence[str]], list[tuple[str, str]]]

FILES = ("a1/1.png", "a1-b.png", "a2/1.png", "a2/sub/1.png", "a2/sub/2.png")


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Named:
    """What paths come to in a folder of scans: (source, path) of each image."""
    for name in FILES:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.chdir(tmp_path)
    return lambda paths: [(each.source, each.path) for each in Inputs(paths)]


@pytest.mark.parametrize(
    "patterns",
    [
        ["a*"],
        ["**"],
        ["./**"],
        ["**/*"],
        ["**/**"],
        ["a2/**", "a1*"],
        ["a?/", "a1-b.png"],
    ],
)
def test_a_pattern_takes_each_file_once_and_gives_each_its_own_source(
    found: Named, patterns: list[str]
) -> None:
    images = found(patterns)
    assert sorted(path.removeprefix("./") for _, path in images) == sorted(FILES)
    assert len({source for source, _ in images}) == len(FILES)


def test_a_pattern_in_quotes_means_what_the_shell_makes_of_it(found: Named) -> None:
    expected = [
        ("1.png", "a1/1.png"),
        ("a1-b.png", "a1-b.png"),
        ("a2/1.png", "a2/1.png"),
        ("sub/1.png", "a2/sub/1.png"),
        ("sub/2.png", "a2/sub/2.png"),
    ]
    assert found(["a*"]) == found(["a1", "a1-b.png", "a2"]) == expected


def test_a_pattern_for_files_alone_leaves_them_as_they_are_named(found: Named) -> None:
    images = found(["**/1.png"])
    assert images == [(name, name) for name in ("a1/1.png", "a2/1.png", "a2/sub/1.png")]


def test_what_a_list_names_is_told_apart_by_its_own_folder(
    found: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a1\na2\na2/s*\n-\ngone[1].png\n"))
    assert [source for source, _ in found(["-"])] == [
        "1.png",
        "a2/1.png",
        "sub/1.png",
        "sub/2.png",
        "a2/sub/1.png",
        "2.png",
        "-",
        "gone[1].png",
    ]


def test_a_list_with_nul_bytes_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a.png\0b.png\0"))
    with pytest.raises(UsageError, match="-print0"):
        Inputs(["-"])


def test_a_list_names_only_buckets_that_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a.png\ns3://ours\ns3://theirs/in/\n"))
    with pytest.raises(UsageError, match=r"theirs.*INKMILL_INPUT_BUCKETS"):
        Inputs(["-"], ("ours",))
