"""`inkmill compare`: another model reads the same pages; `models promote` can demand it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openpyxl import load_workbook

from inkmill.backends.store import S3Store
from inkmill.cli.main import run
from inkmill.codes import Status
from inkmill.models.manifest import Blob
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.models.weights import Golden, ModelFiles, decode_weights, encode_weights
from inkmill.producer import results, submit, wait
from inkmill.records.rows import FieldResult, Row
from inkmill.settings import Settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TALLY = EXAMPLES / "forms/tally.yaml"
SWAPPED = str.maketrans("12", "21")


def mixed_up(files: ModelFiles) -> ModelFiles:
    """The same model, but that it takes each 1 for a 2 and each 2 for a 1."""
    classes = files.manifest.classes
    order = [classes.index(name.translate(SWAPPED)) for name in classes]
    weights = decode_weights(files.weights, files.manifest)
    last = [name for name, value in weights.items() if value.shape[-1] == len(classes)]
    weights |= {name: np.ascontiguousarray(weights[name][..., order]) for name in last}
    data = encode_weights(weights)
    golden = Golden.decode(files.golden, files.manifest)
    assert golden.first_stage is not None
    swapped = Golden(
        golden.crops, golden.probabilities[:, order], golden.first_stage[:, order]
    ).encode()
    manifest = replace(files.manifest, weights=Blob.of(data), golden=Blob.of(swapped))
    return ModelFiles(manifest, data, swapped, files.trained_on)


def changed_values(old: list[Row], new: list[Row]) -> dict[tuple[str, str], tuple[str, str]]:
    """Fields accepted in both with other values: by source and field."""
    accepted = [
        {(row.source, each.name): each.value for row in rows for each in row.fields if _ok(each)}
        for rows in (old, new)
    ]
    both = accepted[0].keys() & accepted[1].keys()
    return {
        place: (accepted[0][place], accepted[1][place])
        for place in both
        if accepted[0][place] != accepted[1][place]
    }


def _ok(result: FieldResult) -> bool:
    return result.status is Status.OK


def test_a_model_is_promoted_after_it_has_read_the_same_pages(
    settings: Settings,
    store: S3Store,
    start_workers: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry = Registry(store, settings.model)
    old = registry.publish(load())
    new = registry.publish(mixed_up(load()), promote=False)
    start_workers()
    scans = sorted(path for path in (EXAMPLES / "scans/forms").iterdir() if path.suffix != ".csv")
    job = submit(scans, form=TALLY, settings=settings)
    wait(job, timeout=120, settings=settings)
    before = list(results(job, settings=settings))
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    assert run(["models", "promote", new, "--form", str(TALLY)]) == 2
    assert f"inkmill compare JOB --model {new[:12]}" in capsys.readouterr().err
    assert registry.find("latest") == old

    listed = tmp_path / "changed.xlsx"
    assert run(["compare", job, "--model", new[:12], "-o", str(listed)]) == 0
    told = capsys.readouterr()
    revision = f"{job}-r2"
    assert revision in told.err
    again = list(results(revision, settings=settings))
    assert {row.model for row in again if row.model} == {new}
    changed = changed_values(before, again)
    assert changed, "station numbers have no rule that would find it out"
    assert all(value.translate(SWAPPED) == other for value, other in changed.values())
    assert f"changed:       {len(changed)}  (" in told.out
    lines = list(load_workbook(listed).worksheets[0].iter_rows(min_row=2, values_only=True))
    assert {(line[1], line[4]): (line[8], line[7]) for line in lines} == changed
    assert list(results(job, settings=settings)) == before

    assert run(["models", "promote", new, "--form", str(TALLY)]) == 0
    assert f"compared: {len(changed)} of " in capsys.readouterr().err
    assert registry.find("latest") == new
