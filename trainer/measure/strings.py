"""What a reader of strips is worth: whole strings right, by length and writer, and how sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkmill.models import ctc
from inkmill.models.manifest import REJECT
from inkmill.models.strips import Hypothesis, StripReader
from inkmill.trainer.config import Config
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.measure.metrics import FLOORS, Share, share_by
from inkmill.trainer.strings.blocks import StringBlockMaker
from inkmill.trainer.strings.material import NOTHING, normalised_strips, prepare_strings

Grey = NDArray[np.uint8]

#: A string that is accepted without a person needs this probability.
CERTAIN = 0.99
#: Above this, a strip's best text is more probable than all others together.
_DECIDED = 0.5
#: Of the strips that are accepted, at most this share may be wrong; and by how much the temperature
#: is raised at a time until it is so.
MOST_WRONG, _RAISED = 0.002, 1.02
#: The range of temperatures that are tried.
_COLDEST, _HOTTEST = 0.25, 5.0


@dataclass(frozen=True, slots=True)
class LabelledStrips:
    """Normalised strips, uint8 (height, width), with their texts; ``groups`` are writers.

    A text of None stands for a strip that says no number.
    """

    pictures: list[Grey]
    texts: list[str | None]
    groups: list[str]


@dataclass(frozen=True, slots=True)
class MeasuredStrips:
    """A model's hypotheses of strips, in their order; ``inkless`` samples have no ink."""

    strips: LabelledStrips
    found: list[list[Hypothesis]]
    inkless: int = 0

    @property
    def first(self) -> list[Hypothesis]:
        """The most probable hypothesis of each strip; an empty text where there is none."""
        return [each[0] if each else Hypothesis("", 0.0) for each in self.found]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the most probable string is the one that is written."""
        pairs = zip(self.first, self.strips.texts, strict=True)
        return np.array([said.text == text for said, text in pairs], np.bool_)

    @property
    def sure(self) -> NDArray[np.bool_]:
        """Whether it is accepted without a person."""
        return np.array([said.probability >= CERTAIN for said in self.first], np.bool_)

    @property
    def share(self) -> Share:
        """Whole strings right; a strip without ink counts as wrong."""
        return Share(int(self.right.sum()), len(self.strips.texts) + self.inkless)

    def by_length(self) -> dict[str, Share]:
        """Whole strings right by their number of digits."""
        texts = [each or "" for each in self.strips.texts]
        lengths = [f"{sum(c.isdigit() for c in text):2d}" for text in texts]
        return {name.strip(): each for name, each in share_by(lengths, self.right).items()}

    def by_group(self) -> dict[str, Share]:
        """Whole strings right by writer or document."""
        return share_by(self.strips.groups, self.right)


def whole(samples: Sequence[Sample], classes: Sequence[str]) -> LabelledStrips:
    """Whole strips of labelled data, normalised as a worker does; without those that lack ink."""
    made = normalised_strips(samples, classes)
    kept = [samples[at] for at in made.kept]
    return LabelledStrips(made.pictures, [s.label for s in kept], [s.group for s in kept])


def composed(
    samples: Sequence[Sample], config: Config, count: int, kind: str = "composed"
) -> LabelledStrips:
    """Strips composed of characters of samples, as in training, from a seed that none uses.

    ``kind`` is that of ``StringBlockMaker.strip``. Empty where no hand can write numbers.
    """
    material, _ = prepare_strings(samples, config)
    result = LabelledStrips([], [], [])
    if not material.hand_weights.any():
        return result
    maker = StringBlockMaker(config, material)
    rng = np.random.default_rng([config.training.seed, 9])
    for _ in range(count):
        picture, symbols = maker.strip(kind, rng)
        names = [config.classes[each] for each in symbols if each != NOTHING]
        result.pictures.append(picture)
        result.texts.append("".join(names) if names and REJECT not in names else None)
        result.groups.append("")
    return result


def measure(reader: StripReader, strips: LabelledStrips, inkless: int = 0) -> MeasuredStrips:
    """Read strips."""
    return MeasuredStrips(strips, reader.read(strips.pictures), inkless)


def fit_strings(reader: StripReader, strips: LabelledStrips) -> tuple[float, float]:
    """The temperature and the floor of the least log loss of strings, as for digits.

    What is written and not among the hypotheses is one more outcome, with the probability that
    is left. Only strips whose best text is more probable than anything else count. The others have
    most of the log loss, and would decide how sure a reader may be, although none of them is ever
    accepted. Log loss says little of the few strips that are surest and wrong, so the temperature
    is then raised until at most `MOST_WRONG` of those accepted are. ``reader`` must have
    temperature 1 and floor 0.
    """
    from scipy.optimize import minimize_scalar

    pairs = list(zip(reader.read(strips.pictures), strips.texts, strict=True))
    pairs = [each for each in pairs if each[0] and each[0][0].probability > _DECIDED] or pairs
    given = [np.array([each.probability for each in row]) for row, _ in pairs]
    places = [_place(row, text) for row, text in pairs]

    def loss(temperature: float, floor: float) -> float:
        values = []
        for probabilities, at in zip(given, places, strict=True):
            shares = ctc.calibrated(probabilities, temperature, floor)
            values.append(1 - shares.sum() if at is None else shares[at])
        return float(-np.log(np.clip(values, 1e-12, None)).mean())

    tried = []
    for floor in FLOORS:
        best = minimize_scalar(
            lambda place, floor=floor: loss(float(np.exp(place)), floor),
            bounds=(np.log(_COLDEST), np.log(_HOTTEST)),
            method="bounded",
            options={"xatol": 1e-3},
        )
        tried.append((float(best.fun), round(float(np.exp(best.x)), 4), floor))
    _, temperature, floor = min(tried)
    while temperature * _RAISED < _HOTTEST and _too_many_wrong(given, places, temperature, floor):
        temperature = round(temperature * _RAISED, 4)
    return temperature, floor


def _too_many_wrong(
    given: Sequence[NDArray[np.float64]],
    places: Sequence[int | None],
    temperature: float,
    floor: float,
) -> bool:
    """Whether more of the strips that would be accepted are wrong than may be."""
    accepted = wrong = 0
    for probabilities, at in zip(given, places, strict=True):
        shares = ctc.calibrated(probabilities, temperature, floor)
        if len(shares) and shares.max() >= CERTAIN:
            accepted += 1
            wrong += at != int(shares.argmax())
    return wrong > MOST_WRONG * accepted


def _place(found: Sequence[Hypothesis], text: str | None) -> int | None:
    return next((at for at, each in enumerate(found) if each.text == text), None)
