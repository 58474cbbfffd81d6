"""What is stored beside a job's rows and decides how they hold: people's values, thresholds."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from inkmill import events, names
from inkmill.errors import Corrupt, NotFound
from inkmill.form import Form
from inkmill.jobs import Job
from inkmill.rules.accept import Acceptance
from inkmill.rules.settle import Settlement
from inkmill.store import Store


def form_of(record: Job) -> Form:
    """The template that a job was read by."""
    return Form.parse(record.form, f"the template of job {record.job}")


def settlement(store: Store, record: Job) -> Settlement:
    """All that `inkmill.rules.settle` needs to know of a job of forms."""
    form = form_of(record)

    @lru_cache(maxsize=64)
    def known(version: str, precision: str) -> Acceptance:
        if not version:
            return Acceptance()
        kept = acceptance_record(store, form, version, precision)
        return Acceptance.of(form, kept, model_curve(store, record.options.model, version))

    return Settlement(form, events.verdicts(events.load(store, record.job)), known)


def acceptance_record(store: Store, form: Form, version: str, precision: str) -> dict[str, Any]:
    """What `inkmill calibrate` stored for a form, a model version and a precision; else empty."""
    try:
        data = store.get(names.acceptance(form.hash, version, precision)).data
    except NotFound:
        return {}
    try:
        record: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise Corrupt(f"the calibration of form {form.name} is damaged: {error}") from error
    return record


def model_curve(store: Store, model: str, version: str) -> list[list[float]]:
    """Confidence against errors on the model's own validation data, from its manifest."""
    try:
        manifest = json.loads(store.get(names.model_manifest(model, version)).data)
        return list(manifest["calibration"].get("curve", []))
    except (NotFound, ValueError, KeyError, TypeError):
        return []  # a model that was deleted or never had one proves nothing
