"""Calibration: thresholds for a form, from values that people keyed before.

Keyed values are compared with the model's readings. Fields with a ``target_error`` get the lowest
threshold that is proven to keep it (`inkmill.rules.accept`). The result applies only to this form,
model version and precision.
"""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from inkmill import names
from inkmill.codes import Code
from inkmill.errors import Corrupt, NotFound, UsageError
from inkmill.folders import same_name
from inkmill.lifecycle.lookup import load_job, readable_jobs
from inkmill.people import lists, review
from inkmill.people.lists import About
from inkmill.producer.connection import Connection
from inkmill.producer.tables.export import results
from inkmill.producer.tables.originals import Cutter
from inkmill.producer.tables.settlement import form_calibration, templates_of
from inkmill.records.jobs import Job
from inkmill.records.rows import FieldResult, Row
from inkmill.rules import accept, bounds
from inkmill.rules.documents import document_label
from inkmill.rules.judge import judge
from inkmill.rules.meaning import read_again
from inkmill.rules.statuses import certainty
from inkmill.saved_tables import dict_rows, read_text
from inkmill.template.form import Form

log = logging.getLogger(__name__)

#: Keyed values by source or key and page (0 if none is given), then by field.
Truth = Mapping[tuple[str, int], Mapping[str, str]]
Model = tuple[str, str]


@dataclass(frozen=True)
class Calibration:
    """The result of a calibration, for one model version and precision.

    ``choices`` are the thresholds of the fields with a target; ``disagreements`` the fields whose
    keyed value differs from the reading: for a second look, since either may be wrong.
    """

    job: str
    model: Model
    compared: int
    accepted: bounds.Rate
    choices: Mapping[str, accept.Threshold] = field(default_factory=dict)
    disagreements: tuple[tuple[Row, FieldResult, str], ...] = ()


def calibrate(
    connection: Connection,
    form: Form,
    truth: Truth,
    job: str | None = None,
    accept_unproven: bool | None = None,
) -> list[Calibration]:
    """Compare a job of this form with ``truth`` and store the resulting thresholds.

    Without ``job``, the newest job of the form is used. ``accept_unproven`` grants or revokes the
    permission to accept fields whose target is not proven. Raises UsageError if nothing can be
    compared.
    """
    record = _job(connection, form, job)
    found = [
        _calibration(form, record.label, model, compared)
        for model, compared in _compared(connection, record, form, truth).items()
    ]
    if not found and accept_unproven is None:
        raise UsageError(
            f"no keyed value belongs to a field of job {record.job}: the first column must hold "
            "its sources or keys, as `inkmill results` shows them"
        )
    for each in found:
        _store(connection, form, record.label, each.model, each.choices, accept_unproven)
    return found


def write_disagreements(
    connection: Connection, found: Sequence[Calibration], path: Path, cut: Cutter
) -> int:
    """Write the fields whose keyed value differs as one review list; returns how many.

    ``found`` is the result of `calibrate`. The keyed value is the proposal, and the list is
    imported like any other.
    """
    record = review.form_job(connection, found[0].job)
    shown = [
        (row, replace(result, proposed=keyed, message=f"keyed as {keyed!r}", code=None))
        for each in found
        for row, result, keyed in each.disagreements
    ]
    lines = (
        replace(line, reason=result.message)
        for line, (_, result) in zip(
            review.with_pictures(connection, record, shown, cut), shown, strict=True
        )
    )
    return lists.write(path, About.of(record, lists.REVIEW), lines)


def permit(connection: Connection, form: Form, job: str | None, allowed: bool) -> list[Model]:
    """Allow or forbid accepting fields whose target is not proven; returns the models affected."""
    record = _job(connection, form, job)
    models = sorted(
        {_model(row) for row in results(record.job, connection=connection) if row.model}
    )
    for model in models:
        _store(connection, form, record.label, model, {}, allowed)
    return models


def _job(connection: Connection, form: Form, job: str | None) -> Job:
    if job is not None:
        try:
            record = load_job(connection.store, job)
        except NotFound:
            record = None
        if record is None or not _is_of(record, form):
            raise UsageError(f"job {job} was not read by this form ({form.name}, {form.hash[:12]})")
        return record
    found = [each for each in readable_jobs(connection.store) if _is_of(each, form)]
    if not found:
        raise UsageError(f"no job was read by this form ({form.name}, {form.hash[:12]}) yet")
    return max(found, key=lambda each: each.created)


def _is_of(record: Job, form: Form) -> bool:
    try:
        return bool(record.form) and any(each.hash == form.hash for each in templates_of(record))
    except Corrupt as error:
        log.warning("skipped job %s: %s", record.label, error)
        return False


def _model(row: Row) -> Model:
    return row.model, row.precision


@dataclass(frozen=True, slots=True)
class _Compared:
    row: Row
    result: FieldResult
    keyed: str

    @property
    def right(self) -> bool:
        return self.result.value == self.keyed


def _compared(
    connection: Connection, record: Job, form: Form, truth: Truth
) -> dict[Model, list[_Compared]]:
    found: dict[Model, list[_Compared]] = {}
    for row in results(record.job, connection=connection):
        if row.form_hash and row.form_hash != form.hash:
            continue
        keyed = keyed_for(row, truth)
        for result in _as_read(form, row):
            if result.name in keyed and result.by_model:
                value = keyed[result.name]
                found.setdefault(_model(row), []).append(_Compared(row, result, value))
    return found


def keyed_for(row: Row, truth: Truth) -> Mapping[str, str]:
    """The keyed values of a page: by its source and page, its source, or its document's key."""
    names = (same_name(row.source), same_name(row.document_key))
    places = [(name, page) for name in names for page in (row.page, 0)]
    return next((truth[place] for place in places if place[0] and place in truth), {})


def _as_read(form: Form, row: Row) -> list[FieldResult]:
    """A page's fields as the machine read them, without values from people."""
    fields = {each.name: each for each in form.all_fields}
    anew = [read_again(fields[each.name], each) for each in row.fields]
    covered = {each.name for each in row.fields if each.code is Code.UNREGISTERED}
    return judge(form, anew, sure=1.0, covered=covered)


def _calibration(form: Form, job: str, model: Model, compared: list[_Compared]) -> Calibration:
    fields = {each.name: each for each in form.all_fields}
    # No threshold accepts fields that rules or cells send to review.
    open_ = [each for each in compared if each.result.code in (None, Code.LOW_CONFIDENCE)]
    choices = {}
    for target in {each.target_error for each in fields.values() if each.target_error}:
        mine = [each for each in open_ if fields[each.result.name].target_error == target]
        choice = accept.choose(
            (
                accept.Labelled(certainty(each.result), each.right, document_label(each.row, form))
                for each in mine
            ),
            target,
        )
        together = (name for name, each in fields.items() if each.target_error == target)
        choices.update(dict.fromkeys(together, choice))
    accepted: dict[str, list[int]] = {}
    for each in compared:
        if each.result.code is None:
            counts = accepted.setdefault(document_label(each.row, form), [0, 0])
            counts[0] += not each.right
            counts[1] += 1
    rate = bounds.clustered((wrong, count) for wrong, count in accepted.values())
    differing = tuple((each.row, each.result, each.keyed) for each in compared if not each.right)
    return Calibration(job, model, len(compared), rate, choices, differing)


def _store(
    connection: Connection,
    form: Form,
    job: str,
    model: Model,
    choices: Mapping[str, accept.Threshold],
    accept_unproven: bool | None,
) -> None:
    before = form_calibration(connection.store, form, *model) or accept.FormCalibration(form.name)
    record = accept.FormCalibration(
        form=form.name,
        job=job,
        when=time.time(),
        choices=dict(choices) or before.choices,
        accept_unproven=before.accept_unproven if accept_unproven is None else accept_unproven,
    )
    connection.store.put(names.acceptance(form.hash, *model), record.encode())


# --- keyed values ------------------------------------------------------------------------------


def read_truth(path: Path, form: Form) -> Truth:
    """Keyed values of a CSV file.

    The first column has sources or keys; a column ``page`` distinguishes the pages of a file. The
    others are fields, or ``field`` and ``value``. Raises UsageError.
    """
    try:
        return _read_truth(dict_rows(read_text(path)), form, path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, csv.Error) as error:
        raise UsageError(f"{path}: not a CSV file ({error})") from None


def _read_truth(rows: csv.DictReader[str], form: Form, path: Path) -> Truth:
    columns = list(rows.fieldnames or ())
    fields = {each.name: each for each in form.all_fields}
    long = {"field", "value"} <= set(columns)
    if not columns or not (long or set(columns[1:]) & set(fields)):
        raise UsageError(
            f"{path}: no column is named after a field of {form.name}; the first column must have "
            "sources or keys, the others are fields (or: field and value)"
        )
    truth: dict[tuple[str, int], dict[str, str]] = {}
    for row in rows:
        page = (row.get("page") or "").strip()
        place = truth.setdefault(
            (same_name((row[columns[0]] or "").strip()), int(page) if page.isdigit() else 0), {}
        )
        for name, value in _cells(row, columns, long):
            if name in fields and value is not None:
                place[name] = _as_meant(fields[name].type, value.strip())
    return truth


def _cells(
    row: Mapping[str, str | None], columns: list[str], long: bool
) -> Iterator[tuple[str, str | None]]:
    if long:
        yield row["field"] or "", row["value"]
    else:
        yield from ((name, row[name]) for name in columns[1:])


def _as_meant(kind: str, value: str) -> str:
    """A keyed value as its field means it: people key numbers with or without leading zeros."""
    return value.lstrip("0") or "0" if kind == "number" and value.isdigit() else value
