"""Numbers without cells on real servers: a second model that is published, served and replaced."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from inkmill.backends.store import S3Store
from inkmill.errors import UsageError
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.people import compare
from inkmill.producer import connect, export, results, submit, wait
from inkmill.settings import Settings
from inkmill.template.form import Form
from tests.integration import images
from tests.unit.sheets import BILL, sheet
from tests.unit.strip_models import constant_model


def test_a_job_of_amounts_is_read_by_two_models_and_follows_both(
    tmp_path: Path, settings: Settings, store: S3Store, start_workers: Callable[..., object]
) -> None:
    digits = Registry(store, settings.model).publish(load())
    strips = Registry(store, settings.strips_model)
    seven = strips.publish(constant_model("7"))
    page = tmp_path / "bill.png"
    cv2.imwrite(str(page), sheet(Form.load(BILL), seed=2).grey)
    start_workers()

    def read(policy: str) -> tuple[str, str, str]:
        job = submit(page, form=BILL, model=policy, settings=settings)
        wait(job, timeout=120, settings=settings)
        (row,) = results(job, settings=settings)
        fields = {each.name: each for each in row.fields}
        assert row.transform
        export(job, tmp_path / "bill.csv", settings=settings)
        assert (tmp_path / "bill.csv").read_text().split("\n")[0].endswith(",strips_model")
        return row.model, row.strips_model, fields["pieces_01"].value

    assert read("pinned") == (digits, seven, "7")
    three = strips.publish(constant_model("3"), promote=False)

    # The same pages by another model of strips and the same one of digits.
    connected = connect(settings)
    job = submit(page, form=BILL, settings=settings)
    wait(job, timeout=120, settings=settings)
    with pytest.raises(UsageError, match="read by digits and strips"):
        compare.read_again(connected, job, three, name="other")
    with pytest.raises(UsageError, match=f"was read by {seven[:12]} already"):
        compare.read_again(connected, job, seven, name=settings.strips_model)
    again = compare.read_again(connected, job, three, name=settings.strips_model)
    wait(again, timeout=120, settings=settings)
    (row,) = results(again, settings=settings)
    assert (row.model, row.strips_model) == (digits, three)
    found = compare.compare(connected, job, again)
    assert (found.old, found.new, found.pages) == (seven, three, 1)
    assert compare.require(connected, Form.load(BILL), seven, three).pages == 1

    strips.promote(three)
    began = time.monotonic()
    while read("follow") != (digits, three, "3"):
        assert time.monotonic() - began < 60
    # A job without such numbers is read as ever, and names one model.
    folder = images.digits(tmp_path / "scans", 4)
    job = submit(folder, settings=settings)
    wait(job, timeout=60, settings=settings)
    assert {(row.model, row.strips_model) for row in results(job, settings=settings)} == {
        (digits, "")
    }
