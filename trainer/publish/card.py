"""The model card: one page, in Markdown and HTML, made from the manifest alone."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inkmill.models.manifest import BLANK, REJECT, Manifest

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2rem .6rem;"
    "text-align:left}img{max-width:100%}"
)


def write_card(manifest: Manifest, folder: Path, pictures: tuple[str, ...] = ()) -> None:
    """Write model-card.md and model-card.html beside a model; ``pictures`` are files there."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(card(manifest, pictures)) + "\n"
    (folder / "model-card.md").write_text(text, encoding="utf-8")
    (folder / "model-card.html").write_text(to_html(text), encoding="utf-8")


def card(manifest: Manifest, pictures: tuple[str, ...] = ()) -> Iterator[str]:
    """The lines of the card."""
    yield f"# Model card: {manifest.config.get('name', manifest.architecture)}"
    yield ""
    yield f"Version `{manifest.version}`, made {manifest.created or 'at an unknown time'}."
    yield ""
    yield from _purpose(manifest)
    yield from _data(manifest)
    yield from _measured(manifest)
    yield from _training(manifest)
    yield from _limits(manifest)
    for picture in pictures:
        yield f"![{Path(picture).stem.replace('-', ' ')}]({picture})"
        yield ""


def _purpose(manifest: Manifest) -> Iterator[str]:
    digits = [name for name in manifest.classes if name not in (BLANK, REJECT)]
    others = [name for name in manifest.classes if name in (BLANK, REJECT)]
    yield "## What it does"
    yield ""
    yield (
        f"It reads one handwritten character from a crop of {manifest.input_size} x "
        f"{manifest.input_size} pixels: {', '.join(digits)}."
    )
    if others:
        yield (
            "It also tells `blank` (an empty cell, specks, remains of lines) and `reject` "
            "(letters, crosses, scribbles, two digits in one cell)."
        )
    count = sum(_product(shape) for shape in manifest.shapes.values())
    filters = ", ".join(str(each["name"]) for each in manifest.filters) or "none"
    yield f"Architecture: {manifest.architecture}, {count:,} parameters. Filters: {filters}."
    yield ""


def _product(shape: tuple[int, ...]) -> int:
    result = 1
    for side in shape:
        result *= side
    return result


def _data(manifest: Manifest) -> Iterator[str]:
    yield "## Training data"
    yield ""
    yield "| source | samples | writers or documents | licence | SHA-256 |"
    yield "| --- | --- | --- | --- | --- |"
    for each in manifest.data:
        licence = each.get("licence") or "not stated"
        digest = str(each.get("sha256", ""))[:16]
        groups = each.get("groups") or "unknown"
        yield f"| {each['name']} | {each.get('samples', '')} | {groups} | {licence} | {digest} |"
    negatives = manifest.config.get("negatives", {})
    if negatives.get("reject"):
        yield ""
        yield (
            f"{negatives['blank']:.0%} of the samples are blanks and {negatives['reject']:.0%} "
            "rejects, drawn by the project itself."
        )
    if square := manifest.config.get("augmentation", {}).get("square"):
        yield ""
        yield (
            f"Of the samples drawn as cells, {square:.0%} are square digits instead, drawn by the "
            "project as people write them along printed guides."
        )
    yield ""


def _measured(manifest: Manifest) -> Iterator[str]:
    yield "## What was measured"
    yield ""
    yield "Right means: the right class among all of the model's classes."
    yield ""
    yield "| test set | images | right | 95 % interval | SHA-256 |"
    yield "| --- | --- | --- | --- | --- |"
    for each in manifest.metrics.get("sets", []):
        low, high = each["interval"]
        yield (
            f"| {each['name']} | {each['samples']} | {each['accuracy']:.2%} | "
            f"{low:.2%} to {high:.2%} | {each['sha256'][:16]} |"
        )
    yield ""
    for each in manifest.metrics.get("sets", []):
        yield from _table(f"{each['name']} by class", each["by_class"])
        yield from _table(f"{each['name']} by writer or document", each["by_group"])
    for name, rates in manifest.metrics.get("negatives", {}).items():
        yield (
            f"Of {rates['samples']} crops of `{name}`, drawn as in training from another seed, "
            f"{rates['kept out']:.1%} were not read as a digit."
        )
    for each in manifest.metrics.get("notes", []):
        yield f"- {each}"
    calibration = manifest.calibration
    yield ""
    writers = ", ".join(calibration.get("groups", [])) or "no separate writers"
    drawn = ", as found and drawn on paper" if calibration.get("drawn") else ""
    yield (
        f"Confidence is calibrated by temperature {manifest.temperature:.3f}, found on "
        f"{calibration.get('samples', 0)} validation samples ({writers}){drawn}."
    )
    yield ""


def _table(title: str, shares: Mapping[str, float]) -> Iterator[str]:
    if not shares:
        return
    yield f"{title}: " + ", ".join(f"{name} {share:.2%}" for name, share in shares.items()) + "."
    yield ""


def _training(manifest: Manifest) -> Iterator[str]:
    training: Mapping[str, Any] = manifest.config.get("training", {})
    yield "## Training"
    yield ""
    keys = ("steps", "batch", "learning_rate", "schedule", "keep", "averaging", "seed")
    yield ", ".join(f"{key} {training[key]}" for key in keys if key in training) + "."
    libraries = ", ".join(f"{name} {number}" for name, number in manifest.libraries.items())
    yield f"Libraries: {libraries or 'not stated'}."
    if manifest.parents:
        yield f"Replaced: {', '.join(manifest.parents)}."
    yield ""


def _limits(manifest: Manifest) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield (
        "It knows handwriting like that of its training data and is wrong more often on other "
        "hands, printed digits, and cells that were cut badly. Take its confidence, not its "
        "word, and check a sample of what is accepted."
    )
    if REJECT not in manifest.classes:
        yield "It has no class for what is no digit: letters and scribbles are read as digits."
    yield ""


def to_html(markdown: str) -> str:
    """The card's own small Markdown as one HTML page that needs no network."""
    body: list[str] = []
    table: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        if line.startswith("|"):
            table.append(line)
            continue
        if table:
            body.append(_html_table(table))
            table = []
        if line.startswith("#"):
            level = len(line) - len(line.lstrip("#"))
            body.append(f"<h{level}>{_inline(line.lstrip('# '))}</h{level}>")
        elif line.startswith("!["):
            words, _, source = line[2:].removesuffix(")").partition("](")
            body.append(f'<img src="{html.escape(source)}" alt="{html.escape(words)}">')
        elif line:
            body.append(f"<p>{_inline(line)}</p>")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Model card</title>'
        f"<style>{_STYLE}</style>" + "".join(body) + "</html>\n"
    )


def _html_table(lines: list[str]) -> str:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in rows[0])
    rest = "".join(
        "<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows[2:]
    )
    return f"<table><tr>{head}</tr>{rest}</table>"


def _inline(text: str) -> str:
    parts = html.escape(text).split("`")
    return "".join(
        f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts)
    )
