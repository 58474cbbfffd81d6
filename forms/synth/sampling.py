"""Synthetic scans in any number: filled, degraded, encoded as files, with their ground truth."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix
from inkmill.forms.synth.faults import FAULTS, REPLACING, SEVERITIES, Scan, degrade
from inkmill.forms.synth.filling import FilledPage, fill_page
from inkmill.forms.synth.handwriting import HandwrittenDigits
from inkmill.forms.synth.printing import draw_page
from inkmill.template.form import Form

#: Pages are drawn at this resolution and then degraded.
_DPI = 200.0
#: Share of pages in a mixture that are replaced by something else.
_SHARE_REPLACED = 0.04
#: Probabilities that a page in a mixture has no fault, one, two or three.
_FAULT_COUNTS = (0.1, 0.4, 0.3, 0.2)


@dataclass(frozen=True)
class SyntheticScan:
    """One synthetic scan.

    ``data`` is a file's bytes, ``suffix`` its extension (".jpg"), ``sheet`` what is written,
    ``transform`` 3x3 maps template units to the file's pixels, ``readable`` is the entry of the
    table of faults.
    """

    data: bytes
    suffix: str
    sheet: FilledPage
    transform: Matrix
    faults: tuple[str, ...]
    severity: str
    readable: bool
    page_number: int = 1


def synthesize(
    form: Form,
    digits: HandwrittenDigits,
    rng: np.random.Generator,
    count: int,
    severity: str | None = None,
    faults: Sequence[str] | None = None,
) -> Iterator[SyntheticScan]:
    """``count`` scans of the form.

    Without ``severity``, one is drawn for each page. Without ``faults``, each page gets none to
    three, and some pages are replaced by something else. Raises UsageError for an unknown severity
    or fault.
    """
    blanks = {number: draw_page(form, number, _DPI) for number in range(1, form.page_count + 1)}
    for index in range(count):
        page_number = index % form.page_count + 1
        level = severity or str(rng.choice(SEVERITIES[:3]))
        chosen = _mixture(form, rng) if faults is None else tuple(faults)
        sheet = fill_page(form, digits, rng, page_number, _DPI, blanks[page_number], 0.05)
        scan = Scan(sheet.grey, sheet.transform, _DPI)
        readable = degrade(scan, form, chosen, level, rng)
        data, suffix = _encoded(scan, rng)
        yield SyntheticScan(
            data, suffix, sheet, scan.transform, tuple(scan.faults), level, readable, page_number
        )


def _mixture(form: Form, rng: np.random.Generator) -> tuple[str, ...]:
    if rng.random() < _SHARE_REPLACED:
        return (str(rng.choice(REPLACING)),)
    usual = [name for name in FAULTS if name not in REPLACING]
    if form.registration.marks is None:
        usual = [name for name in usual if name not in ("covered", "folded")]
    count = int(rng.choice(len(_FAULT_COUNTS), p=_FAULT_COUNTS))
    return tuple(rng.choice(usual, count, replace=False).tolist())


def _encoded(scan: Scan, rng: np.random.Generator) -> tuple[bytes, str]:
    """Encode as scanners do: G4 TIFF if bilevel, else JPEG, now and then PNG."""
    from PIL import Image

    image = Image.fromarray(scan.grey)
    sink = io.BytesIO()
    dpi = (round(scan.dpi), round(scan.dpi))
    if scan.quality == 0 and _is_bilevel(scan.grey):
        image.convert("1", dither=Image.Dither.NONE).save(
            sink, "TIFF", compression="group4", dpi=dpi
        )
        return sink.getvalue(), ".tif"
    if scan.quality == 0 and rng.random() < 0.1:
        image.save(sink, "PNG", dpi=dpi, compress_level=1)
        return sink.getvalue(), ".png"
    image.save(sink, "JPEG", dpi=dpi, quality=scan.quality or 85)
    return sink.getvalue(), ".jpg"


def _is_bilevel(grey: NDArray[np.uint8]) -> bool:
    return bool(np.isin(grey[:: max(1, grey.shape[0] // 64)], (0, 255)).all())


def write_samples(form: Form, samples: Iterable[SyntheticScan], folder: Path) -> int:
    """Write scans and their truth.csv; returns how many.

    The table has a line for each scan: source, page, readable, severity, faults, the transform
    (nine numbers), then each field's value.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [field.name for field in form.all_fields if field.type != "image"]
    columns = ["source", "page", "readable", "severity", "faults", "transform", *names]
    count = 0
    with (folder / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for count, sample in enumerate(samples, 1):
            name = f"{form.name}_{count:05d}{sample.suffix}"
            (folder / name).write_bytes(sample.data)
            values = truth(form, sample.sheet, sample.page_number)
            writer.writerow(
                {
                    "source": name,
                    "page": 1,
                    "readable": "yes" if sample.readable else "no",
                    "severity": sample.severity,
                    "faults": " ".join(sample.faults),
                    "transform": " ".join(f"{value:.9g}" for value in sample.transform.ravel()),
                    **values,
                }
            )
    return count


def truth(form: Form, sheet: FilledPage, page_number: int) -> dict[str, str]:
    """The expected value of each field."""
    values = {}
    for field in form.page_fields(page_number):
        if field.type == "image":
            continue
        values[field.name] = sheet.values[field.name]
        if field.type == "checkbox" and field.labels:
            chosen = zip(field.labels, sheet.raw[field.name], strict=True)
            values[field.name] = ";".join(label for label, ticked in chosen if ticked == "1")
    return values
