"""Which precision a network runs in on a host, and what a job may ask for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from inkmill.models import contest, pretrained
from inkmill.models.contest import Entry, Outcome, fastest


@pytest.mark.parametrize(
    ("entries", "taken"),
    [
        ({"float32": Entry(100, 0), "bfloat16": Entry(200, 0.01)}, "bfloat16"),
        ({"float32": Entry(100, 0), "bfloat16": Entry(103, 0.01)}, "float32"),
        ({"float32": Entry(100, 0), "bfloat16": Entry(40, 0.01)}, "float32"),
        ({"float32": Entry(100, 0), "bfloat16": Entry(900, 1, "2 readings changed")}, "float32"),
        ({"float32": Entry(0, 1, "NaN"), "bfloat16": Entry(0, 1, "NaN")}, "float32"),
    ],
)
def test_the_fastest_that_is_allowed_is_taken(entries: dict[str, Entry], taken: str) -> None:
    assert fastest(entries) == taken


def test_what_was_found_is_shown_and_only_on_its_host(tmp_path: Path) -> None:
    folder = tmp_path / "precision"
    folder.mkdir()
    here = Outcome("bfloat16", "lenet", contest.host(), 1, 12, {"bfloat16": Entry(7000, 0.006)})
    (folder / "a.json").write_bytes(here.encode())
    elsewhere = dataclasses.replace(here, host="another processor, 64 cores")
    (folder / "b.json").write_bytes(elsewhere.encode())
    (folder / "c.json").write_text("{half a fi")
    assert contest.outcomes(tmp_path) == [here]
    assert "lenet with 12 classes runs in bfloat16" in str(here)
    assert "7,000 images/s a core" in str(here)


@pytest.mark.tensorflow
def test_engines_that_start_after_another_follow_it(measured: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    files = pretrained.load()
    about = (files.manifest, files.weights, files.golden, measured, 1)
    first = contest.precision_for(*about)
    said = [record for record in caplog.records if "runs in" in record.getMessage()]
    assert len(said) == 1
    assert contest.precision_for(*about) == first
    assert len([record for record in caplog.records if "runs in" in record.getMessage()]) == 1
    (found,) = contest.outcomes(measured)
    assert found.precision == first
    assert set(found.entries) >= {"float32", "bfloat16"}
    assert found.entries["float32"].difference < 1e-3


@pytest.fixture
def predictor() -> Any:
    from inkmill.models import predictor

    return predictor


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def shelf(measured: Path) -> Any:
    from inkmill.worker.shelf import Shelf

    return Shelf(2, 1, measured)


@pytest.mark.tensorflow
def test_a_job_may_ask_for_a_precision(shelf: Any) -> None:
    files = pretrained.load()
    usual = shelf.load(files.manifest.encode(), files.weights, files.golden)
    version = files.manifest.version
    assert shelf.get(version) is usual
    assert shelf.get(version, "float32").precision == "float32"
    assert shelf.get(version, "bfloat16").precision == "bfloat16"
    assert shelf.get(version, "float32") is shelf.get(version, "float32")


@pytest.mark.tensorflow
def test_a_precision_that_changes_too_much_gives_way_to_float32(
    shelf: Any, predictor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pretrained.load()
    shelf.load(files.manifest.encode(), files.weights, files.golden)
    monkeypatch.setitem(predictor._TOLERANCE, "float16", 1e-9)
    assert shelf.get(files.manifest.version, "float16").precision == "float32"


@pytest.mark.tensorflow
def test_an_oldest_version_hands_its_network_on(shelf: Any) -> None:
    files = pretrained.load()
    loaded = []
    for number in range(3):
        manifest = dataclasses.replace(files.manifest, created=f"2026-01-0{number + 1}")
        loaded.append(shelf.load(manifest.encode(), files.weights, files.golden))
    assert loaded[2] is loaded[0]
    assert loaded[1] is not loaded[0]
    assert len(shelf.versions) == 2
