"""Draw the pictures in docs/pictures/forms from the examples in this folder.

    python examples/draw_pictures.py DATA

DATA is a folder that holds mnist/. Pictures are reduced and stored with 96 colours.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inkmill.errors import ItemError
from inkmill.forms.intake import decode_page
from inkmill.forms.locate.registration import locate
from inkmill.forms.make.detecting import detect_pages
from inkmill.forms.make.drafting import numbered
from inkmill.forms.make.picturing import contact_sheet, overlay
from inkmill.forms.synth.handwriting import HandwrittenDigits, load_digits
from inkmill.forms.synth.printing import draw_page
from inkmill.forms.synth.sampling import synthesize
from inkmill.template.form import Form

HERE = Path(__file__).parent
TARGET = HERE.parent / "docs/pictures/forms"
SHOWN = (
    ("covered", "heavy"),
    ("perspective", "heavy"),
    ("watermark,hard_contrast", "moderate"),
    ("turned_180,streaks", "moderate"),
    ("faint,light", "heavy"),
    ("wrong_form", "light"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("data", type=Path, help="folder that holds mnist/")
    digits = load_digits(parser.parse_args().data)
    TARGET.mkdir(parents=True, exist_ok=True)
    form = Form.load(HERE / "forms" / "tally.yaml")
    blank = draw_page(form, 1, 150)
    made = detect_pages([blank], "tally")
    _save("detected", numbered(made.pages[0], made.form), 620)
    _save("checked", _checked(form), 1100)
    _save("faults", _faults(form, digits), 1100)


def _checked(form: Form) -> NDArray[np.uint8]:
    pictures, captions = [], []
    for name in ("tally_01.jpg", "tally_05.jpg", "tally_07.pdf"):
        page = decode_page((HERE / "scans" / "forms" / name).read_bytes())
        located = locate(page, form)
        pictures.append(overlay(page.grey, form, 1, located))
        captions.append(f"{name}: {located.residual:.2g} mm off")
    return contact_sheet(pictures, captions)


def _faults(form: Form, digits: HandwrittenDigits) -> NDArray[np.uint8]:
    """One page of each kind, with its boxes where they were found, or why there are none."""
    pictures, captions = [], []
    for number, (names, severity) in enumerate(SHOWN):
        rng = np.random.default_rng(number)
        (sample,) = synthesize(form, digits, rng, 1, severity, names.split(","))
        page = decode_page(sample.data)
        try:
            pictures.append(overlay(page.grey, form, 1, locate(page, form)))
            captions.append(f"{names}, {severity}")
        except ItemError as error:
            pictures.append(np.asarray(cv2.cvtColor(page.grey, cv2.COLOR_GRAY2BGR), np.uint8))
            captions.append(f"{names}: {error.code}")
    return contact_sheet(pictures, captions)


def _save(name: str, picture: NDArray[np.uint8], width: int) -> None:
    size = (width, round(picture.shape[0] * width / picture.shape[1]))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    image = Image.fromarray(np.ascontiguousarray(small[..., ::-1]))
    image.quantize(96).save(TARGET / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
