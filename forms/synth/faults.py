"""Faults of scans by name and severity, and which of them leave a page readable.

The table below decides, before any reader sees a page, whether it is readable: whether a careful
person would still find the boxes and the digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from inkmill.errors import UsageError
from inkmill.forms.synth import degradation
from inkmill.forms.synth.degradation import Scan
from inkmill.template.form import Form

__all__ = ["FAULTS", "REPLACING", "SEVERITIES", "Scan", "check_faults", "degrade"]

SEVERITIES = ("light", "moderate", "heavy", "extreme")


@dataclass(frozen=True)
class Fault:
    """A fault: ``apply(scan, form, rng, level)`` degrades a scan in place.

    ``level`` is 0 (light) to 3 (extreme); ``readable`` says for each whether the page can still be
    read.
    """

    apply: Callable[[Scan, Form, np.random.Generator, int], None]
    readable: tuple[bool, bool, bool, bool]


_ALWAYS, _NEVER = (True, True, True, True), (False, False, False, False)
_NOT_LAST = (True, True, True, False)

#: All faults by name, in the order in which they happen to a page.
FAULTS: dict[str, Fault] = {
    "touching": Fault(degradation.touching, _ALWAYS),
    "crossed": Fault(degradation.crossed, _ALWAYS),
    "covered": Fault(degradation.covered_marks, _NOT_LAST),
    "wrong_form": Fault(degradation.wrong_form, _NEVER),
    "blank_page": Fault(degradation.blank_page, _NEVER),
    "watermark": Fault(degradation.watermark, _NOT_LAST),
    "faint": Fault(degradation.faint, _NOT_LAST),
    "letter": Fault(degradation.letter, _ALWAYS),
    "scale": Fault(degradation.scale, _ALWAYS),
    "skew": Fault(degradation.skew, _ALWAYS),
    "perspective": Fault(degradation.perspective, _ALWAYS),
    "folded": Fault(degradation.cut_off, _NOT_LAST),
    "turned_90": Fault(degradation.turn(1), _ALWAYS),
    "turned_180": Fault(degradation.turn(2), _ALWAYS),
    "turned_270": Fault(degradation.turn(3), _ALWAYS),
    "light": Fault(degradation.uneven_light, _ALWAYS),
    "streaks": Fault(degradation.streaks, _NOT_LAST),
    "specks": Fault(degradation.specks, _ALWAYS),
    "low_resolution": Fault(degradation.low_resolution, _NOT_LAST),
    "bilevel": Fault(degradation.bilevel, _NOT_LAST),
    "hard_contrast": Fault(degradation.hard_contrast, _NOT_LAST),
    "jpeg": Fault(degradation.jpeg, _NOT_LAST),
}

#: Faults of the scanner come after the noise of paper and sensor.
_IN_THE_SCANNER = ("low_resolution", "bilevel", "hard_contrast", "jpeg")
#: Faults that replace the page by something else; rare in a mixture.
REPLACING = ("wrong_form", "blank_page")


def check_faults(names: Sequence[str]) -> tuple[str, ...]:
    """The names in the order in which they happen. Raises UsageError for an unknown one."""
    for name in names:
        if name not in FAULTS:
            raise UsageError(f"{name!r} is not a fault: use {', '.join(FAULTS)}")
    return tuple(name for name in FAULTS if name in names)


def degrade(
    scan: Scan, form: Form, names: Sequence[str], severity: str, rng: np.random.Generator
) -> bool:
    """Apply the named faults to a scan, in place; returns whether it is still readable.

    Every page also gets noise and blur, which grow with the severity.
    """
    if severity not in SEVERITIES:
        raise UsageError(f"{severity!r} is not a severity: use one of {', '.join(SEVERITIES)}")
    level = SEVERITIES.index(severity)
    readable = True
    late = [name for name in check_faults(names) if name in _IN_THE_SCANNER]
    for name in check_faults(names):
        if name not in late:
            FAULTS[name].apply(scan, form, rng, level)
        readable &= FAULTS[name].readable[level]
    sigma = degradation.between(rng, ((0.3, 0.5), (0.4, 0.8), (0.5, 1.0), (0.6, 1.1)), level)
    scan.grey = np.asarray(cv2.GaussianBlur(scan.grey, (0, 0), sigma), np.uint8)
    degradation.noise(scan, rng, degradation.between(rng, ((1, 3), (2, 6), (4, 9), (6, 12)), level))
    for name in late:
        FAULTS[name].apply(scan, form, rng, level)
    scan.faults = list(check_faults(names))
    return readable
