"""The names in a folder: one order and bounded memory, however many there are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inkmill.producer.inputs import listing


def test_many_names_come_in_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.png", "a\nb.png", "ä.png", "Z.png", *(f"{n:03d}.png" for n in range(60))):
        (tmp_path / name).touch()
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))).touch()
    (tmp_path / "a.png").symlink_to("b.png")
    (tmp_path / "folder").mkdir()
    whole = list(listing.names(str(tmp_path)))
    assert whole == sorted(whole)
    assert ("a.png", True) in whole
    assert ("folder/", False) in whole
    for part in (1, 7, len(whole), len(whole) + 1):
        monkeypatch.setattr(listing, "_IN_MEMORY", part)
        monkeypatch.setattr(listing, "_AT_ONCE", 3)
        assert list(listing.names(str(tmp_path))) == whole


def test_a_folder_that_cannot_be_listed_says_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        listing.names(str(tmp_path / "gone"))
