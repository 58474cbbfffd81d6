"""The model card: one page, in Markdown and HTML, made from the manifest alone."""

from __future__ import annotations

import math
from pathlib import Path

from inkmill.models.manifest import BLANK, REJECT, Manifest
from inkmill.records.rows import MARKS
from inkmill.trainer.markdown import markdown, to_html
from inkmill.trainer.measure.strings import CERTAIN


def write_card(manifest: Manifest, folder: Path) -> None:
    """Write model-card.md and model-card.html into a model's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = card(manifest)
    (folder / "model-card.md").write_text(text, encoding="utf-8")
    page = to_html(text, title=f"Model card: {_name(manifest)}")
    (folder / "model-card.html").write_text(page, encoding="utf-8")


def card(manifest: Manifest) -> str:
    """The card in Markdown."""
    if manifest.reads_strips:
        return _strips_card(manifest)
    augmentation = manifest.config.get("augmentation", {})
    return markdown(
        Path(__file__).parent / "card.md.jinja",
        manifest=manifest,
        name=_name(manifest),
        digits=[name for name in manifest.classes if name.isdigit()],
        others=BLANK in manifest.classes or REJECT in manifest.classes,
        rejects=REJECT in manifest.classes,
        marks=[name for name in manifest.classes if name in MARKS],
        parameters=sum(math.prod(shape) for shape in manifest.shapes.values()),
        negatives=manifest.config.get("negatives", {}),
        square=augmentation.get("square"),
        sets=manifest.metrics.get("sets", []),
        training=manifest.config.get("training", {}),
    )


def _strips_card(manifest: Manifest) -> str:
    return markdown(
        Path(__file__).parent / "strips-card.md.jinja",
        manifest=manifest,
        name=_name(manifest),
        parameters=sum(math.prod(shape) for shape in manifest.shapes.values()),
        sets=manifest.metrics.get("sets", []),
        rejects=manifest.metrics.get("rejects", {}),
        training=manifest.config.get("training", {}),
        certain=CERTAIN,
    )


def _name(manifest: Manifest) -> str:
    return str(manifest.config.get("name", manifest.architecture))
