"""The same name again: is it the same job, and if not, what differs?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from difflib import SequenceMatcher

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import JobMismatch, NotFound
from inkmill.records import image_ref
from inkmill.records.chunks import Chunk, Item
from inkmill.records.jobs import Job

#: Sources named in a refusal.
_SHOWN = 5
_REMEDY = (
    "Give the new job another name, or --new-revision to keep both; `inkmill delete {job}` "
    "frees the name"
)


def option_differences(record: Job, draft: Job, any_size: bool = False) -> list[str]:
    """What differs between a job and a submit of the same name, apart from the inputs.

    ``any_size``: nobody said how large chunks are to be, so that the job's are as good.
    """
    before, now = asdict(record.options), asdict(draft.options)
    differences = [
        f"{name.replace('_', ' ')} was {before[name]}, now {now[name]}"
        for name in before
        if before[name] != now[name] and not (any_size and name == "chunk_size")
    ]
    if record.form_hash != draft.form_hash:
        differences.append(f"form was {_form(record)}, now {_form(draft)}")
    return differences


def _form(job: Job) -> str:
    return f"{job.form_name} ({job.form_hash[:12]})" if job.form_hash else "none (digit images)"


def mismatch(job: str, differences: Sequence[str]) -> JobMismatch:
    """The error that shows the differences and the remedies."""
    return JobMismatch(
        f"job {job} already exists with different inputs or options: {'; '.join(differences)}. "
        f"{_REMEDY.format(job=job)}"
    )


def input_differences(store: Store, record: Job, chunk: Chunk) -> list[str]:
    """The first few sources that differ, from the first chunk that does.

    An image that is added or removed moves all that follow; so the chunk's items are aligned,
    and what was merely pushed over its end is not named.
    """
    before: Sequence[Item] = ()
    if not record.sealed or chunk.number < record.chunks:
        before = Chunk.decode(store.get(names.chunk(record.job, chunk.number)).data).items
    old, new = [list(map(_content, each)) for each in (before, chunk.items)]
    steps = [
        step
        for step in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if step[0] != "equal"
    ]
    moved = [step for step in steps if step[2] < len(old) or step[4] < len(new)]
    found: list[str] = []
    for _, old_start, old_end, new_start, new_end in moved or steps:
        found += _words(before[old_start:old_end], chunk.items[new_start:new_end])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return [f"inputs differ: {', '.join(found[:_SHOWN]) or f'chunk {chunk.number}'}{more}"]


def removed_inputs(store: Store, record: Job, number: int) -> list[str]:
    """The first few sources of a chunk that a new submit does not have any more."""
    try:
        items = Chunk.decode(store.get(names.chunk(record.job, number)).data).items
    except NotFound:  # its scans are deleted already, so it cannot be said which
        return ["inputs differ"]
    return [f"inputs differ: {', '.join(f'{item.source} removed' for item in items[:_SHOWN])}"]


def _content(item: Item) -> tuple[str, int, str, str]:
    return (item.source, item.page, item.sha256 or image_ref.encode(item.ref), str(item.code or ""))


def _words(before: Sequence[Item], now: Sequence[Item]) -> list[str]:
    old = dict.fromkeys(item.source for item in before)
    new = dict.fromkeys(item.source for item in now)
    return [
        *(f"{source} {'changed' if source in old else 'added'}" for source in new),
        *(f"{source} removed" for source in old if source not in new),
    ]
