"""Phone photos of a printed form with faint boxes are found however the phone was held.

The photos (InternationalIDEA/c.digital, Apache-2.0) are not shipped: they lie in the data folder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inkmill.forms.geometry import apply
from inkmill.forms.intake import decode_page
from inkmill.forms.locate.registration import locate
from inkmill.forms.make.detecting import detect_pages
from inkmill.template.form import Form

DATA = Path(os.environ.get("INKMILL_DATA") or "nowhere")
PHOTOS = DATA / "forms/cdigital_photos"
TEMPLATE = Path(__file__).parents[2] / "bench/templates/pwp.yaml"

pytestmark = pytest.mark.skipif(not PHOTOS.exists(), reason="the photos are not in INKMILL_DATA")


@pytest.fixture(scope="module")
def form() -> Form:
    return Form.parse(TEMPLATE.read_text(), "pwp.yaml", DATA / "templates/cdigital_apache2")


def as_jpeg(image: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())


@pytest.mark.parametrize(
    "name", sorted(json.loads((PHOTOS / "labels.json").read_text())) if PHOTOS.exists() else []
)
@pytest.mark.parametrize("seed", range(3))
def test_a_photo_is_found_from_any_side(form: Form, name: str, seed: int) -> None:
    photo = np.asarray(cv2.imread(str(PHOTOS / "images" / name)), np.uint8)
    height, width = photo.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    inwards = np.sign(np.array([width, height]) / 2 - corners)
    aside = np.random.default_rng(seed).uniform(0, 0.03, (4, 2)) * inwards * [width, height]
    held = cv2.getPerspectiveTransform(corners, (corners + aside).astype(np.float32))
    other = cv2.warpPerspective(photo, held, (width, height), borderMode=cv2.BORDER_REPLICATE)
    before = locate(decode_page(photo_bytes(name)), form)
    after = locate(decode_page(as_jpeg(np.asarray(other, np.uint8))), form)
    boxes = [box for field in form.all_fields for box in field.cells.rectangles()]
    places = np.array([[x, y] for x, y, _, _ in boxes])
    moved = apply(held, apply(before.transform, places))
    off = np.linalg.norm(moved - apply(after.transform, places), axis=1)
    assert off.max() < 8, "pixels, of cells 40 wide and more"


def photo_bytes(name: str) -> bytes:
    return (PHOTOS / "images" / name).read_bytes()


PLANO = DATA / "forms/plano_photos"


@pytest.mark.skipif(not PLANO.exists(), reason="the photos are not in INKMILL_DATA")
def test_an_official_sheet_is_found_with_a_draft_of_its_blank() -> None:
    blank = decode_page((PLANO / "presidential_blank.png").read_bytes())
    made = detect_pages([blank.grey], "presidential").form
    photos = sorted(PLANO.glob("presidential_[0-9].jpg"))
    assert len(photos) == 2
    for photo in photos:
        located = locate(decode_page(photo.read_bytes()), made)
        assert len(located.lost) <= 0.1 * len(made.all_fields), photo.name
