"""Which fields may be accepted so that the share of wrong ones stays below the target.

A field's certainty is only a model's opinion; labelled fields show what it is worth. The
lowest threshold is taken at which the share of wrong values among the accepted is proven to be
below the target. Thresholds are tested from the strictest downwards and the search stops at the
first that fails, from a few starting points that share the risk between them (fixed-sequence
testing with several starts: Angelopoulos et al., Learn then test, 2021), each with an exact
bound (`inkmill.rules.bounds`). So the bound holds for the threshold that is chosen, not only
for one that was fixed beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from inkmill.records import codec
from inkmill.records.codec import Name, NameOrEmpty, Timestamp, Within
from inkmill.rules import bounds
from inkmill.template.form import Form

#: The confidence with which a bound holds.
CONFIDENCE = 0.95
#: Places where the search begins; each has its part of the risk.
_STARTS = 3
#: Each threshold tried accepts so many times the fields of the one before.
_STEP = 1.05
#: Points of the curve that a manifest holds.
_CURVE_STEP = 1.25
_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Labelled:
    """A field whose true value is known: its certainty, whether it was right, its document."""

    certainty: float
    right: bool
    document: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold and what was found at it.

    ``least`` is the least certainty of an accepted field; ``bound`` what the error rate of
    the accepted stays below, with confidence 95 %, if ``proven``. ``labels`` are all fields
    looked at, ``missing`` how many more without error would be needed at the least.
    """

    target: float
    least: float
    proven: bool
    labels: int
    accepted: int = 0
    errors: int = 0
    bound: float = 1.0
    missing: int = 0
    by: str = "form"

    def words(self) -> str:
        """For people, in one line."""
        if self.proven:
            return (
                f"accepted from certainty {self.least:.5f}: {self.accepted:,} of {self.labels:,} "
                f"labelled fields, {self.errors} wrong; at most {1000 * self.bound:.2f} in 1,000 "
                f"(target {1000 * self.target:g}; by the {self.by}'s labels)"
            )
        more = (
            f"at least {self.missing:,} more labels are needed"
            if self.missing
            else "too many of the most certain fields were wrong"
        )
        return (
            f"UNPROVEN: {self.labels:,} labelled fields for a target of "
            f"{1000 * self.target:g} in 1,000; {more}"
        )


def choose(labels: Iterable[Labelled], target: float) -> Threshold:
    """The lowest threshold that is proven to keep the target on these labels."""
    ordered = sorted(labels, key=lambda each: -each.certainty)
    risk = (1 - CONFIDENCE) / _STARTS
    least = bounds.needed(target, 1 - risk)
    total = len(ordered)
    if total < least:
        return Threshold(target, 2.0, False, total, missing=least - total)
    sizes = _sizes(ordered, least)
    best: Threshold | None = None
    reached = 0
    for start in sorted({len(sizes) * part // _STARTS for part in range(_STARTS)}):
        for number in range(max(start, reached), len(sizes)):
            accepted = ordered[: sizes[number]]
            bound = _bound(accepted, 1 - risk)
            if bound > target:
                break
            # A later start that reaches proven thresholds need not test them again.
            reached = number + 1
            errors = sum(not each.right for each in accepted)
            best = Threshold(
                target, accepted[-1].certainty, True, total, len(accepted), errors, bound
            )
    return best or Threshold(target, 2.0, False, total)


def _sizes(ordered: Sequence[Labelled], least: int) -> list[int]:
    """How many fields each threshold accepts, from the strictest; equal ones go together."""
    sizes, size = list[int](), float(least)
    while size < len(ordered) * _STEP:
        count = min(int(size), len(ordered))
        while count < len(ordered) and ordered[count].certainty == ordered[count - 1].certainty:
            count += 1
        if not sizes or count > sizes[-1]:
            sizes.append(count)
        size *= _STEP
    return sizes


def _bound(accepted: Sequence[Labelled], confidence: float) -> float:
    """The upper bound of the error rate, fields of one document counted as they are worth."""
    documents: dict[str, list[int]] = {}
    for each in accepted:
        counts = documents.setdefault(each.document, [0, 0])
        counts[0] += not each.right
        counts[1] += 1
    groups = [(wrong, count) for wrong, count in documents.values()]
    worth = bounds.effective_trials(groups)
    errors = sum(wrong for wrong, _ in groups) * worth / len(accepted)
    return bounds.upper(errors, worth, confidence)


# --- by the model's own labels -----------------------------------------------------------------


def curve(confidences: Iterable[float], right: Iterable[bool]) -> list[list[float]]:
    """What a manifest keeps of a model's validation cells: thresholds and what they let pass.

    Rows of (least confidence, cells accepted, of them wrong), the strictest first.
    """
    ordered = sorted(zip(confidences, right, strict=True), key=lambda each: -each[0])
    rows, size = list[list[float]](), 50.0
    while ordered and size < len(ordered) * _CURVE_STEP:
        count = min(int(size), len(ordered))
        wrong = sum(not good for _, good in ordered[:count])
        rows.append([round(float(ordered[count - 1][0]), 7), count, wrong])
        size *= _CURVE_STEP
    return rows


def choose_by_model(rows: Sequence[Sequence[float]], target: float, cells: int) -> Threshold:
    """A threshold from a model's curve, for a field of so many cells.

    A field is wrong at most as often as all its cells together, so that each cell has its
    part of the target; a field above the threshold has all its cells above it.
    """
    total = int(rows[-1][1]) if rows else 0
    least = bounds.needed(target / cells, CONFIDENCE)
    best: Threshold | None = None
    for confidence, count, wrong in rows:
        if count < least:
            continue
        bound = bounds.upper(wrong, count, CONFIDENCE)
        if bound * cells > target:
            break
        best = Threshold(
            target, confidence, True, total, int(count), int(wrong), bound * cells, by="model"
        )
    return best or Threshold(target, 2.0, False, total, missing=max(0, least - total), by="model")


# --- what applies to a form ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FormCalibration:
    """What `inkmill calibrate` stores for a form, a model version and a precision.

    ``choices`` are the thresholds of fields with a target error, found in job ``job`` at the time
    ``when``; ``accept_unproven`` permits accepting fields whose target is not proven.
    """

    form: Name
    job: NameOrEmpty = ""
    when: Timestamp = 0.0
    choices: dict[Name, Threshold] = field(default_factory=dict)
    accept_unproven: bool = False
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA

    def encode(self) -> bytes:
        """The calibration as JSON."""
        return codec.encode(self, "the calibration", indent=1)

    @classmethod
    def decode(cls, data: bytes, name: str) -> FormCalibration:
        """The calibration from JSON, called ``name`` in errors. Raises Corrupt, Newer."""
        return codec.decode(cls, data, name, schema=_SCHEMA)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The fields of a form that have a target error, and what is known for each.

    ``accept_unproven`` says that fields without proof are accepted as fields without a target are.
    """

    choices: Mapping[str, Threshold] = field(default_factory=dict)
    accept_unproven: bool = False

    @classmethod
    def of(
        cls, form: Form, calibration: FormCalibration | None, rows: Sequence[Sequence[float]]
    ) -> Acceptance:
        """By the form's own calibration where it proves a target, else by the model.

        ``rows`` are the model's curve, and may be empty.
        """
        known = calibration.choices if calibration is not None else {}
        choices = {}
        for each in form.all_fields:
            if each.target_error is None:
                continue
            choice = known.get(each.name)
            # The curve is of the model that reads digits: it says nothing about strips.
            curve_of_field = () if each.strip else rows
            if choice is None or not choice.proven:
                by_model = choose_by_model(curve_of_field, each.target_error, each.most_digits)
                choice = by_model if by_model.proven or choice is None else choice
            choices[each.name] = choice
        return cls(choices, calibration is not None and calibration.accept_unproven)
