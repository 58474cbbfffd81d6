"""Draw the sample scans of this folder: filled tally sheets and single digits, with their truth.

    python examples/make_scans.py DATA [--out examples/scans]

DATA is a folder that holds mnist/ (see docs/how-to/make-a-template.md); the digits are MNIST's
test digits, which the shipped model was not trained on. The same DATA gives the same files.
"""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inkmill.forms.synth.faults import Scan, degrade
from inkmill.forms.synth.filling import fill_page
from inkmill.forms.synth.handwriting import HandwrittenDigits, load_digits
from inkmill.forms.synth.printing import draw_page
from inkmill.forms.synth.sampling import truth
from inkmill.template.form import Form

HERE = Path(__file__).parent
SHEETS = 14
DIGITS = 240
SEED = 2024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("data", type=Path, help="folder that holds mnist/")
    parser.add_argument("--out", type=Path, default=HERE / "scans")
    arguments = parser.parse_args()
    digits = load_digits(arguments.data, "mnist-test")
    rng = np.random.default_rng(SEED)
    draw_forms(digits, arguments.out / "forms", rng)
    draw_digits(digits, arguments.out / "digits", rng)


def draw_forms(digits: HandwrittenDigits, folder: Path, rng: np.random.Generator) -> None:
    """Sheets as a feeder scans them: a little askew and scaled, with grain; in four formats."""
    form = Form.load(HERE / "forms" / "tally.yaml")
    blank = draw_page(form, dpi=150)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    pages: list[NDArray[np.uint8]] = []
    for number in range(1, SHEETS + 1):
        sheet = fill_page(form, digits, rng, dpi=150, blank=blank)
        scan = Scan(sheet.grey, sheet.transform, 150)
        # Two lie upside down, as happens in a stack.
        faults = ["skew", "scale", *(["turned_180"] if number in (5, 10) else [])]
        degrade(scan, form, faults, "light", rng)
        if number >= SHEETS - 1:
            pages.append(scan.grey)
            name, page = "stack.tif", len(pages)
        else:
            name, page = _save(scan.grey, folder, number), 1
        rows.append({"source": name, "page": str(page), **truth(form, sheet, 1)})
    stack = [Image.fromarray(page).convert("1", dither=Image.Dither.NONE) for page in pages]
    stack[0].save(
        folder / "stack.tif",
        compression="group4",
        dpi=(150, 150),
        save_all=True,
        append_images=stack[1:],
    )
    _write_csv(folder / "truth.csv", rows)


def _save(grey: NDArray[np.uint8], folder: Path, number: int) -> str:
    """Most as JPEG, one as PNG, one as PDF."""
    image = Image.fromarray(grey)
    if number == 3:
        name = f"tally_{number:02d}.png"
        image.quantize(16).save(folder / name, dpi=(150, 150), optimize=True)
    elif number == 7:
        name = f"tally_{number:02d}.pdf"
        image.save(folder / name, resolution=150, quality=55)
    else:
        name = f"tally_{number:02d}.jpg"
        image.save(folder / name, dpi=(150, 150), quality=55)
    return name


def draw_digits(digits: HandwrittenDigits, folder: Path, rng: np.random.Generator) -> None:
    """Single digits: most as MNIST has them, every sixth large and dark on white paper."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = rng.choice(len(digits.labels), DIGITS, replace=False)
    rows = []
    for number, index in enumerate(chosen, 1):
        image = np.asarray(digits.images[index], np.uint8)
        if number % 6 == 0:
            image = _on_paper(image, rng)
        name = f"digit_{number:03d}.png"
        sink = io.BytesIO()
        Image.fromarray(image).save(sink, "PNG", optimize=True)
        (folder / name).write_bytes(sink.getvalue())
        rows.append({"source": name, "digit": str(digits.labels[index])})
    _write_csv(folder / "truth.csv", rows)


def _on_paper(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The same digit as a crop of a scan: 64 px, dark ink, off the middle, some grain."""
    large = cv2.resize(image, (56, 56), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    page = np.full((64, 64), 245.0)
    left, top = rng.integers(0, 8, 2)
    page[top : top + 56, left : left + 56] -= large / 255 * rng.uniform(150, 220)
    return np.clip(page + rng.normal(0, 2, page.shape), 0, 255).astype(np.uint8)


def _write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
