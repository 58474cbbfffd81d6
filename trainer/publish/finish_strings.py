"""Turn trained weights into a reader of strips: calibrated, measured, with golden set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.models.architectures import stride
from inkmill.models.manifest import REJECT, Blob, Manifest
from inkmill.models.strips import StripReader
from inkmill.models.weights import Golden, ModelFiles, encode_weights
from inkmill.rules.accept import curve
from inkmill.trainer.config import Config
from inkmill.trainer.data.samples import Dataset, Sample
from inkmill.trainer.measure.metrics import Share
from inkmill.trainer.measure.strings import (
    LabelledStrips,
    MeasuredStrips,
    composed,
    fit_strings,
    measure,
    whole,
)
from inkmill.trainer.publish.drafts import UNCALIBRATED, described, draft
from inkmill.trainer.strings.material import is_whole

#: Strips that are composed to calibrate with, for each test set, and of rejects.
_VALIDATION, _TEST, _REJECTS = 12000, 1000, 1000
#: Strips of a golden set, and their width in pixels: the narrowest that a reader compiles.
_GOLDEN, _WIDE = 24, 128


@dataclass(frozen=True, slots=True)
class FinishedStrings:
    """A finished reader of strips with its measurements."""

    files: ModelFiles
    reader: StripReader
    tests: Mapping[str, MeasuredStrips]


def finish_strings(
    config: Config,
    arrays: Mapping[str, NDArray[np.float32]],
    validation: Sequence[Sample],
    tests: Mapping[str, Sequence[Sample]],
    facts: Mapping[str, Any],
) -> FinishedStrings:
    """Make a reader of strips from trained weights; arguments as of ``finish.finish``."""
    weights = encode_weights(arrays)
    reader = StripReader(draft(config, weights), weights)
    held_out = _held_out(validation, config, _VALIDATION)
    calibration = _calibrate(reader, held_out)
    found = {name: calibration.pop(name) for name in ("temperature", "floor")}
    manifest = draft(config, weights, replace(UNCALIBRATED, **found))
    reader.load(manifest, weights)
    checked = measure(reader, held_out)
    calibration["curve"] = curve([s.probability for s in checked.first], checked.right.tolist())
    measured = {
        name: measure(reader, strips, inkless)
        for name, (strips, inkless) in _test_sets(tests, config).items()
    }
    metrics = dict(facts.get("metrics", {}))
    metrics["sets"] = [_set(name, tests[name], each) for name, each in measured.items()]
    if metrics["sets"]:
        metrics["accuracy"] = metrics["sets"][0]["accuracy"]
    every = [sample for samples in tests.values() for sample in samples]
    metrics["rejects"] = _reject_rates(reader, composed(every, config, _REJECTS, REJECT))
    golden = golden_strips(reader, held_out)
    manifest = described(
        manifest, config, {**facts, "metrics": metrics, "calibration": calibration}
    )
    manifest = replace(manifest, golden=Blob.of(golden))
    reader.load(manifest, weights)
    reader.check(golden)
    files = ModelFiles(manifest, weights, golden, facts.get("trained_on", b""))
    return FinishedStrings(files, reader, measured)


def _held_out(samples: Sequence[Sample], config: Config, count: int) -> LabelledStrips:
    """Strips of validation writers: composed ones, and those that were written as a whole."""
    made = composed(samples, config, count)
    own = whole([each for each in samples if is_whole(each, config.classes)], config.classes)
    return LabelledStrips(
        made.pictures + own.pictures, made.texts + own.texts, made.groups + own.groups
    )


def _test_sets(
    tests: Mapping[str, Sequence[Sample]], config: Config
) -> dict[str, tuple[LabelledStrips, int]]:
    """Strips of each source with test samples, and how many of them have no ink."""
    found = {}
    for name, samples in tests.items():
        own = [each for each in samples if is_whole(each, config.classes)]
        strips = whole(own, config.classes) if own else composed(samples, config, _TEST)
        if strips.pictures:
            found[name] = strips, len(own) - len(strips.pictures) if own else 0
    return found


def _calibrate(reader: StripReader, strips: LabelledStrips) -> dict[str, Any]:
    """Temperature and floor on strips of held-out writers; none where there are none."""
    if not strips.pictures:
        return {"temperature": 1.0, "floor": 0.0, "samples": 0}
    temperature, floor = fit_strings(reader, strips)
    return {"temperature": temperature, "floor": floor, "samples": len(strips.pictures)}


def _set(name: str, samples: Sequence[Sample], measured: MeasuredStrips) -> dict[str, Any]:
    share, wrong = measured.share, measured.sure & ~measured.right
    return {
        "name": name,
        "sha256": Dataset(list(samples)).digest(),
        "samples": share.total,
        "accuracy": round(share.accuracy, 6),
        "interval": [round(end, 6) for end in share.interval],
        "by_length": _rounded(measured.by_length()),
        "by_group": _rounded(measured.by_group()),
        "accepted": round(float(measured.sure.mean()), 6),
        "wrong_accepted": round(float(wrong.mean()), 6),
    }


def _reject_rates(reader: StripReader, strips: LabelledStrips) -> dict[str, Any]:
    """How many strips that say no number are read as one, and accepted."""
    if not strips.pictures:
        return {}
    measured = measure(reader, strips)
    likely = np.array([each.probability >= 0.5 for each in measured.first])
    return {
        "samples": len(strips.pictures),
        "read": round(float(likely.mean()), 4),
        "accepted": round(float(measured.sure.mean()), 4),
    }


def golden_strips(reader: StripReader, strips: LabelledStrips) -> bytes:
    """Strips with what this model says of their frames."""
    narrow = [each for each in strips.pictures if each.shape[1] <= _WIDE][:_GOLDEN]
    pictures = np.zeros((max(1, len(narrow)), reader.manifest.input_size, _WIDE), np.uint8)
    for row, picture in zip(pictures, narrow, strict=False):
        row[:, : picture.shape[1]] = picture
    frames = _WIDE // stride(reader.manifest.layers)
    said = np.stack([each[:frames] for each in reader.frames(list(pictures))])
    return Golden(pictures, said.astype(np.float32)).encode()


def measure_other_strings(
    files: ModelFiles, tests: Mapping[str, MeasuredStrips], new: Manifest
) -> list[dict[str, Any]]:
    """Measure another reader on a finished one's test sets, as ``metrics["sets"]``.

    ``new`` is the finished one's manifest, which has the digests of these sets.
    """
    reader = StripReader(files.manifest, files.weights)
    sets = []
    for known in new.metrics["sets"]:
        measured = tests[known["name"]]
        again = measure(reader, measured.strips, measured.inkless)
        sets.append({**known, "accuracy": round(again.share.accuracy, 6)})
    return sets


def _rounded(shares: Mapping[str, Share]) -> dict[str, float]:
    return {name: round(share.accuracy, 6) for name, share in shares.items()}
