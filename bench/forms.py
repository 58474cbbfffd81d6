"""Writes docs/explanation/forms-accuracy.md: registration and reading of synthetic pages, and the
speed of the whole pipeline. `make bench-forms`, with INKMILL_DATA set.

All pages are drawn by this project's own code from MNIST's test digits, so anyone can make
them; the severity table (forms/synth/faults.py) says which are readable before they are read.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from bench.harder import Harder, judge_harder, report_harder
from bench.material import read_cells
from inkmill.errors import ItemError
from inkmill.forms.geometry import Matrix, apply, corners, inverse
from inkmill.forms.intake import decode_page
from inkmill.forms.locate.registration import Located
from inkmill.forms.reader import PageCells
from inkmill.forms.synth.faults import REPLACING, SEVERITIES, Scan, degrade
from inkmill.forms.synth.filling import fill_page
from inkmill.forms.synth.handwriting import HandwrittenDigits, load_digits
from inkmill.forms.synth.printing import page_size
from inkmill.forms.synth.sampling import SyntheticScan, synthesize
from inkmill.template.form import Form

HERE = Path(__file__).resolve().parent
FORMS = ("tally", "register", "strip")
#: A page counts as registered when every corner of every cell is within this of its place.
WITHIN_MM = 0.5


@dataclass
class Tally:
    """What is counted over all pages."""

    pages: Counter[tuple[str, str]] = field(default_factory=Counter)
    digits: dict[tuple[str, str], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0])
    )
    codes: Counter[str] = field(default_factory=Counter)
    guessed: list[str] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)
    plain: list[int] = field(default_factory=lambda: [0, 0])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("-n", "--pages", type=int, default=1000)
    parser.add_argument("--harder", type=int, default=400, help="pages of bench/harder.py")
    parser.add_argument("--data", type=Path, default=os.environ.get("INKMILL_DATA"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "-o", "--output", type=Path, default=HERE.parent / "docs/explanation/forms-accuracy.md"
    )
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the folder that holds mnist/ by --data or INKMILL_DATA")
    cv2.setNumThreads(1)
    digits = load_digits(arguments.data, "mnist-test")
    tally = Tally()
    predict, originals = predictor(digits)
    for name in FORMS:
        form = Form.load(HERE.parent / "examples/forms" / f"{name}.yaml")
        rng = np.random.default_rng([arguments.seed, len(name)])
        count = arguments.pages // len(FORMS)
        for sample in synthesize(form, digits, rng, count - count // 10):
            judge(form, sample, tally, predict, originals)
        # A tenth at the severity where most faults make a page unreadable.
        for sample in synthesize(form, digits, rng, count // 10, severity="extreme"):
            judge(form, sample, tally, predict, originals)
    harder = Harder()
    for name in FORMS:
        form = Form.load(HERE.parent / "examples/forms" / f"{name}.yaml")
        rng = np.random.default_rng([arguments.seed, len(name), 1])
        judge_harder(form, digits, rng, arguments.harder // len(FORMS), harder)
    text = report(tally, harder, speed(digits), arguments.pages)
    arguments.output.write_text(text, encoding="utf-8")
    print(text)


Predict = Callable[[Any], Any]


def predictor(digits: HandwrittenDigits) -> tuple[Predict, Any]:
    """The shipped model, and what it makes of the original digits."""
    from inkmill.models.manifest import Manifest
    from inkmill.models.predictor import Predictor

    folder = HERE.parent / "models/pretrained"
    manifest = Manifest.decode((folder / "manifest.json").read_bytes())
    model = Predictor(manifest, (folder / "weights.safetensors").read_bytes(), threads=1)

    def predict(crops: Any) -> Any:
        return model.predict(crops).argmax(axis=1)

    return predict, predict(digits.images)


def judge(
    form: Form, sample: SyntheticScan, tally: Tally, predict: Predict, originals: Any
) -> None:
    """Read one page and count what came of it."""
    replaced = bool(set(sample.faults) & set(REPLACING))
    try:
        cells = read_cells(sample.data, form, sample.page_number)
    except ItemError as error:
        tally.codes[str(error.code)] += 1
        outcome = "refused"
    else:
        off = error_mm(form, cells.registration, sample.transform, sample.page_number)
        outcome = "right" if off <= WITHIN_MM and not replaced else "wrong"
    verdict = "readable" if sample.readable else "unreadable"
    tally.pages[f"{sample.severity} {verdict}", outcome] += 1
    if outcome == "wrong":
        tally.guessed.append(f"{form.name}, {sample.severity}: {', '.join(sample.faults)}")
    if sample.readable and outcome == "refused":
        tally.missed[f"{sample.severity}: {' + '.join(sample.faults)}"] += 1
    if outcome == "right" and sample.readable:
        count_digits(form, sample, cells, tally, predict, originals)


def error_mm(form: Form, located: Located, true: Matrix, page_number: int) -> float:
    """The largest distance of a cell's corner from its true place, in mm of the paper."""
    unit = np.ones(2)
    if form.page.unit == "frame":
        width = page_size(form)[0] - 24.0
        unit = np.array([width, width * (form.page.aspect or 1.0)])
    worst = 0.0
    for number, each in enumerate(form.page_fields(page_number)):
        if each.type == "image":
            continue
        boxes = each.cells.rectangles()
        for box, moved in zip(boxes, located.moved(number, boxes), strict=True):
            points = corners(box)
            seen = apply(inverse(true), apply(located.transform, corners(moved)))
            worst = max(worst, float(np.linalg.norm((seen - points) * unit, axis=1).max()))
    return worst


def count_digits(
    form: Form,
    sample: SyntheticScan,
    cells: PageCells,
    tally: Tally,
    predict: Predict,
    originals: Any,
) -> None:
    """Digit by digit: read as it was written or not, by severity and by each fault."""
    found = predict(cells.crops)
    written = "".join(
        sample.sheet.raw[each.name] for each in form.page_fields(sample.page_number) if each.read
    )
    damaged = set(sample.faults) & {"crossed", "touching"}
    for place, (symbol, number) in enumerate(zip(written, sample.sheet.digits, strict=True)):
        if number < 0:
            good = bool(cells.empty[place]) if symbol == "_" else bool(cells.crossed[place])
            group = "empty cell" if symbol == "_" else "crossed out (X)"
            if not damaged:
                tally.digits[group, sample.severity][0] += good
                tally.digits[group, sample.severity][1] += 1
            continue
        good = not cells.empty[place] and not cells.crossed[place] and found[place] == int(symbol)
        for name in sample.faults or ("none",):
            tally.digits[name, sample.severity][0] += bool(good)
            tally.digits[name, sample.severity][1] += 1
        if sample.severity == "light" and not damaged:
            tally.plain[0] += int(bool(good)) - int(originals[number] == int(symbol))
            tally.plain[1] += 1


# --- speed -----------------------------------------------------------------------------------


def speed(digits: HandwrittenDigits) -> list[tuple[str, float, float]]:
    """For each file format: milliseconds of decoding alone, and of the whole pipeline."""
    form = Form.load(HERE.parent / "examples/forms/register.yaml")
    rng = np.random.default_rng(1)
    sheet = fill_page(form, digits, rng, dpi=300)
    scan = Scan(sheet.grey, sheet.transform, 300)
    degrade(scan, form, ["skew", "scale"], "light", rng)
    rows = []
    for name, data in _files(scan):
        decode = fastest(partial(decode_page, data))
        whole = fastest(partial(_whole, data, form))
        rows.append((name, decode, whole))
    return rows


def _whole(data: bytes, form: Form) -> None:
    read_cells(data, form)


def _files(scan: Scan) -> Iterator[tuple[str, bytes]]:
    image = Image.fromarray(scan.grey)
    for name, kind, options in (
        ("JPEG, quality 85", "JPEG", {"quality": 85}),
        ("PNG", "PNG", {}),
    ):
        sink = io.BytesIO()
        image.save(sink, kind, **options)
        yield name, sink.getvalue()
    sink = io.BytesIO()
    image.point(lambda level: 255 if level > 128 else 0).convert("1").save(
        sink, "TIFF", compression="group4"
    )
    yield "G4 TIFF", sink.getvalue()


def fastest(call: Callable[[], object], rounds: int = 12) -> float:
    """Milliseconds of the fastest of several calls: the machine may be busy."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1000 * min(times)


# --- the page --------------------------------------------------------------------------------


def report(tally: Tally, harder: Harder, speeds: list[tuple[str, float, float]], pages: int) -> str:
    lines = [
        "# Form accuracy",
        "",
        "How well pages are located and digits read. Written by `make bench-forms`",
        f"(`python -m bench.forms -n {pages}`) from generated pages of three forms",
        f"(examples/forms): {', '.join(FORMS)}. Each page has none to three faults; the severity",
        "table in the code (`faults.py`) decides whether a page is readable.",
        "",
        f"## Registration: every cell within {WITHIN_MM} mm",
        "",
        "| severity and verdict | pages | right | refused | wrong |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    groups = [f"{s} {v}" for v in ("readable", "unreadable") for s in SEVERITIES]
    for group in groups:
        counts = [tally.pages[group, outcome] for outcome in ("right", "refused", "wrong")]
        if sum(counts):
            lines.append(f"| {group} | {sum(counts)} | {' | '.join(map(str, counts))} |")
    lines += [
        "",
        *_sums(tally),
        "",
        "Codes of the refused pages: " + _listed(tally.codes) + ".",
        "",
    ]
    if tally.missed:
        lines += ["Readable pages that were refused: " + _listed(tally.missed) + ".", ""]
    if tally.guessed:
        lines += ["Located wrongly: " + "; ".join(tally.guessed) + ".", ""]
    lines += [
        *report_harder(harder),
        "## Digits read correctly on registered pages, by fault and severity",
        "",
        "The shipped model, before any rule. Pages have several faults, so a row includes the",
        "effect of the other faults. Empty cells and X count as right if recognised as such.",
        "",
        "| fault | " + " | ".join(SEVERITIES) + " |",
        "| --- | " + " | ".join("---:" for _ in SEVERITIES) + " |",
    ]
    for name in sorted({name for name, _ in tally.digits}):
        shares = (_share(tally.digits.get((name, severity))) for severity in SEVERITIES)
        lines.append(f"| {name} | " + " | ".join(shares) + " |")
    lines += _round_trip(tally)
    lines += _speeds(speeds)
    return "\n".join(lines) + "\n"


def _round_trip(tally: Tally) -> list[str]:
    lost, total = tally.plain
    return [
        "",
        f"Round trip at light severity: {total} digits, {100 * lost / max(total, 1):+.2f} points "
        "compared with the original images.",
        "",
    ]


def _speeds(speeds: list[tuple[str, float, float]]) -> list[str]:
    lines = [
        "## Speed: an A4 page at 300 dpi with 65 cells",
        "",
        "Milliseconds of processor time on one core, the fastest of twelve runs.",
        "",
        "| file | decoding alone | decode, locate, cut, normalise | times |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, decode, whole in speeds:
        lines.append(f"| {name} | {decode:.1f} ms | {whole:.1f} ms | {whole / decode:.1f} |")
    return lines


def _sums(tally: Tally) -> list[str]:
    readable = {o: _total(tally, " readable", o) for o in ("right", "refused", "wrong")}
    others = {o: _total(tally, " unreadable", o) for o in ("right", "refused", "wrong")}
    count = max(1, sum(readable.values()))
    return [
        f"Of {count} readable pages {100 * readable['right'] / count:.2f} % are registered, "
        f"{readable['wrong']} wrongly. Of {sum(others.values())} unreadable, wrong and blank "
        f"pages, {others['wrong']} located wrongly and {others['right']} located all the same."
    ]


def _total(tally: Tally, verdict: str, outcome: str) -> int:
    return sum(
        n for (group, o), n in tally.pages.items() if group.endswith(verdict) and o == outcome
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"


def _share(counts: list[int] | None) -> str:
    return f"{100 * counts[0] / counts[1]:.1f} %" if counts and counts[1] else ""


if __name__ == "__main__":
    main()
