"""A contact sheet of the steps that samples go through on their way to the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.cut.normalise import normalise
from inkmill.trainer.config import Config
from inkmill.trainer.crops.blocks import BlockMaker
from inkmill.trainer.crops.material import prepare
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.measure.contact_sheets import rows_sheet, strips_sheet
from inkmill.trainer.strings.blocks import StringBlockMaker
from inkmill.trainer.strings.material import prepare_strings

Grey = NDArray[np.uint8]
#: Rows of augmented crops: a single one would be chance.
_VARIANTS = 3
#: Hands of each source that strings are composed of.
_HANDS = 8


def preview(samples: Sequence[Sample], config: Config, count: int, seed: int) -> Grey:
    """Rows of the same samples: original, normalised, filtered, augmented; then negatives."""
    rng = np.random.default_rng(seed)
    names = [source.name or source.kind for source in config.sources]
    # In the order of the material, so that each column is one sample.
    chosen = sorted(
        _some_of_each(samples, count, rng), key=lambda sample: names.index(sample.source)
    )
    size = config.input_size
    rows: list[tuple[str, Sequence[Grey]]] = [("as found", [each.image for each in chosen])]
    rows.append(("normalised", [_crop(each, size, ()) for each in chosen]))
    for number in range(1, len(config.filters) + 1):
        filters = config.filters[:number]
        title = " + ".join(str(each["name"]) for each in filters)
        rows.append((f"with {title}", [_crop(each, size, filters) for each in chosen]))
    material, _ = prepare(chosen, config)
    maker = BlockMaker(config, material)
    places = range(len(material.crops))
    if config.augmentation.active:
        rows += [
            (f"augmented, {number + 1}", [maker.digit(at, rng) for at in places])
            for number in range(_VARIANTS)
        ]
    if config.negatives.reject:
        for kind in config.drawn:
            rows.append((kind, [maker.negative(kind, rng) for _ in places]))
    return rows_sheet(rows)


def preview_strings(samples: Sequence[Sample], config: Config, count: int, seed: int) -> Grey:
    """Strips as they go into training, each kind in turn, with their symbols below."""
    rng = np.random.default_rng(seed)
    material, _ = prepare_strings(_some_hands(samples, rng), config)
    maker = StringBlockMaker(config, material)
    kinds = ["composed"] if material.hand_weights.any() else []
    kinds += ["whole"] if len(material.widths) else []
    kinds += ["reject", "empty"] if config.negatives.reject else []
    pictures, captions = [], []
    for number in range(count):
        picture, symbols = maker.strip(kinds[number % len(kinds)], rng)
        names = [config.classes[each] for each in symbols]
        pictures.append(picture)
        captions.append("".join(name if len(name) == 1 else "?" for name in names) or "nothing")
    return strips_sheet(pictures, captions)


def _some_hands(samples: Sequence[Sample], rng: np.random.Generator) -> list[Sample]:
    """All samples of some hands of each source: of all of them, thinning takes long."""
    hands: dict[str, dict[str, None]] = {}
    for sample in samples:
        hands.setdefault(sample.source, {})[sample.group] = None
    chosen = {
        (source, groups[at])
        for source, groups in ((name, list(found)) for name, found in hands.items())
        for at in rng.permutation(len(groups))[:_HANDS]
    }
    return [sample for sample in samples if (sample.source, sample.group) in chosen]


def _crop(sample: Sample, size: int, filters: Sequence[dict[str, object]]) -> Grey:
    crop = normalise(sample.image, size, filters)
    return np.zeros((size, size), np.uint8) if crop is None else crop


def _some_of_each(samples: Sequence[Sample], count: int, rng: np.random.Generator) -> list[Sample]:
    """``count`` samples, with all sources and classes in turn."""
    order = rng.permutation(len(samples))
    taken: dict[tuple[str, str], int] = {}
    ranked: list[tuple[int, int, int]] = []
    for at in order:
        key = (samples[at].source, samples[at].label)
        taken[key] = taken.get(key, 0) + 1
        ranked.append((taken[key], len(ranked), int(at)))
    return [samples[at] for _, _, at in sorted(ranked)[:count]]
