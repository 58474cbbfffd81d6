"""Records that cannot be used: what `inkmill doctor` names, and everybody else passes over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from inkmill import names
from inkmill.errors import InkmillError, NotFound, StoreDenied, Unreachable

if TYPE_CHECKING:
    from inkmill.backends.store import Store

#: No more jobs, and no more names, are looked at: doctor is for a person who waits.
MOST = 10_000
_THREADS, _AHEAD = 8, 64


def damaged_records(store: Store, model: str) -> Iterator[str]:
    """What is wrong with the records of jobs, names and versions of a model, one text for each.

    Raises Unreachable or StoreDenied.
    """
    from inkmill.backends import model_index
    from inkmill.models.registry import Registry
    from inkmill.producer.overlap import overlapped

    registry = Registry(store, model)
    looks: tuple[tuple[Callable[[str], object], Iterator[str]], ...] = (
        (lambda job: _job(store, job), _jobs(store)),
        (lambda name: _name(store, name), _names(store)),
        (registry.show, (version for version, _ in model_index.versions(store, model))),
    )
    for look, things in looks:
        checked = overlapped(
            lambda thing, look=look: _complaint(look, thing),  # type: ignore[misc]
            islice(things, MOST),
            threads=_THREADS,
            ahead=_AHEAD,
        )
        yield from filter(None, checked)


def _complaint(look: Callable[[str], object], thing: str) -> str:
    """Why a record cannot be used; "" if it can, or is gone."""
    try:
        look(thing)
    except NotFound:
        return ""
    except (Unreachable, StoreDenied):
        raise
    except InkmillError as error:
        text = str(error)
        return text if thing in text else f"{thing}: {text}"
    return ""


def _jobs(store: Store) -> Iterator[str]:
    from inkmill.lifecycle.lookup import job_ids

    return job_ids(store)


def _job(store: Store, job: str) -> None:
    from inkmill.lifecycle.lookup import read_record
    from inkmill.lifecycle.summary import load_summary
    from inkmill.producer.tables.settlement import templates_of

    record = read_record(store, job)
    load_summary(store, record)
    if record.form:
        templates_of(record)


def _names(store: Store) -> Iterator[str]:
    for entry in store.list(names.NAMES):
        name = entry.key.removeprefix(names.NAMES).removesuffix(".json")
        if names.is_job(name):
            yield name


def _name(store: Store, name: str) -> None:
    from inkmill.lifecycle.identity import read_name

    read_name(store, name)
