"""A page that nothing can locate is read once a person says where its corners are."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkmill.backends.store import S3Store
from inkmill.cli.main import run
from inkmill.codes import Status
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import results, submit, wait
from inkmill.settings import Settings
from inkmill.template.form import Form

EXAMPLES = Path(__file__).parents[2] / "examples"
FORM = EXAMPLES / "forms" / "tally.yaml"
SCAN = EXAMPLES / "scans" / "forms" / "tally_07.pdf"


@pytest.fixture
def torn(tmp_path: Path) -> tuple[Path, str]:
    """A sample scan whose marks, code and box lines are cut away; and where its marks were."""
    from inkmill.forms.geometry import apply
    from inkmill.forms.intake import decode_page
    from inkmill.forms.locate.registration import locate

    form = Form.load(FORM)
    page = decode_page(SCAN.read_bytes(), 1)
    transform = locate(page, form).transform
    marks = form.registration.marks
    assert marks is not None
    corners = apply(transform, np.array(marks.at[:4]))
    # Only a strip with the votes is left; everything else is covered by white paper.
    whole = np.array([[150, 55], [196, 55], [196, 140], [150, 140]], np.float64)
    left, top = apply(transform, whole).min(axis=0).astype(int)
    right, bottom = apply(transform, whole).max(axis=0).astype(int)
    covered = np.full_like(page.grey, 255)
    covered[top:bottom, left:right] = page.grey[top:bottom, left:right]
    path = tmp_path / "torn.png"
    cv2.imwrite(str(path), covered)
    return path, " ".join(f"{x:.0f},{y:.0f}" for x, y in corners)


def test_corners_by_hand(
    torn: tuple[Path, str],
    settings: Settings,
    store: S3Store,
    start_workers: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, corners = torn
    Registry(store, settings.model).publish(load())
    start_workers()
    job = submit(path, form=FORM, settings=settings)
    wait(job, timeout=60, settings=settings)
    (row,) = results(job, settings=settings)
    assert row.status is Status.ERROR, "nothing may be guessed of such a page"

    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert run(["fix", job, "0", "--corners", corners]) == 0
    (fixed,) = results(job, settings=settings)
    with (SCAN.parent / "truth.csv").open(newline="") as file:
        truth = next(line for line in csv.DictReader(file) if line["source"] == SCAN.name)
    names = [f"votes_{number:02d}" for number in range(1, 6)]
    read = {field.name: field.value for field in fixed.fields}
    assert sum(read[name] == truth[name] for name in names) >= 4

    assert run(["fix", job, "7", "--corners", corners]) == 2
    assert "column item" in capsys.readouterr().err
    assert run(["fix", job, "0", "--corners", "1,2 3,4"]) == 2
    assert run(["fix", job, "0", "--corners", "0,0 9,9 9,0 0,9"]) == 2
    assert "corners" in capsys.readouterr().err
