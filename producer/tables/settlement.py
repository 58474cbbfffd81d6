"""What settles a job's rows, read from the store: people's values, thresholds, the policy."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated

from inkmill import names
from inkmill.backends import event_log
from inkmill.backends.store import Store
from inkmill.errors import Corrupt, FormError, NotFound, UsageError
from inkmill.records import codec, events
from inkmill.records.codec import ItemCount, Length, Within
from inkmill.records.jobs import Job
from inkmill.rules.accept import Acceptance, FormCalibration
from inkmill.rules.documents import Policy
from inkmill.rules.settle import Settlement, Settlements
from inkmill.template.form import Form
from inkmill.template.templates import Templates


def form_of(record: Job) -> Form:
    """The template that a job was read by. Raises UsageError if it was read by several."""
    templates = templates_of(record)
    if templates.only is None:
        raise UsageError(
            f"job {record.job} was read by several forms ({templates.name}), but this works with "
            "one only: submit the scans with --form"
        )
    return templates.only


def templates_of(record: Job) -> Templates:
    """The template or templates that a job was read by.

    Raises Corrupt where the record holds something else, since its submit checked them.
    """
    try:
        return _parsed(record.form)
    except FormError as error:
        raise Corrupt(f"{names.job_record(record.job)} is damaged: {error}") from error


@lru_cache(maxsize=64)
def _parsed(text: str) -> Templates:
    # A thousand jobs share few templates, and parsing one takes 10 ms.
    return Templates.parse(text, "the template of a job")


def settlement(store: Store, record: Job, unseen: bool = False) -> Settlement | Settlements:
    """Everything that `inkmill.rules.settle` needs about a job of forms.

    With ``unseen``, as if nobody had entered any value.
    """
    verdicts = {} if unseen else events.verdicts(event_log.load(store, record.job))
    policy = Policy(record.options.doubles, record.options.keyed)
    parts = {
        form.hash: Settlement(form, verdicts, _acceptance_of(store, record, form), policy)
        for form in templates_of(record)
    }
    # With one form, rows may still have none: those of chunks that were lost.
    return Settlements(parts) if len(parts) > 1 else next(iter(parts.values()))


def _acceptance_of(store: Store, record: Job, form: Form) -> Callable[[str, str], Acceptance]:
    @lru_cache(maxsize=64)
    def known(version: str, precision: str) -> Acceptance:
        if not version:
            return Acceptance()
        kept = form_calibration(store, form, version, precision)
        return Acceptance.of(form, kept, model_curve(store, record.options.model, version))

    return known


def form_calibration(
    store: Store, form: Form, version: str, precision: str
) -> FormCalibration | None:
    """What `inkmill calibrate` stored for a form, a model version and a precision, if anything.

    Raises Corrupt.
    """
    try:
        data = store.get(names.acceptance(form.hash, version, precision)).data
    except NotFound:
        return None
    return FormCalibration.decode(data, f"the calibration of form {form.name}")


#: Rows of (least confidence, cells accepted, of them wrong): see `inkmill.rules.accept.curve`.
_Curve = Annotated[
    tuple[tuple[Annotated[float, Within(0, 1)], ItemCount, ItemCount], ...], Length(0, 10_000)
]


def model_curve(store: Store, model: str, version: str) -> Sequence[Sequence[float]]:
    """Confidence against errors on the model's own validation data, from its manifest."""
    key = names.model_manifest(model, version)
    try:
        calibration = json.loads(store.get(key).data)["calibration"]
        curve: Sequence[Sequence[float]] = codec.decode(
            _Curve, json.dumps(calibration.get("curve", [])), key
        )
        return curve
    except (NotFound, Corrupt, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []  # a model without a curve, or a deleted one, proves nothing
