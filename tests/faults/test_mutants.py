"""Ten thousand damaged files, through all that a submit and an engine do with a file.

`FAULT_FILES=1000 make test-faults` tries fewer. They go through the packing of a submit and
through real engines (processes of their own, with deadlines); only the servers are left out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inkmill import names
from inkmill.backends.store import MemoryStore
from inkmill.codes import Code, Status
from inkmill.imagefile.sniff import Limits
from inkmill.models.pretrained import load as load_shipped
from inkmill.producer.inputs.pack import Packer, chunks
from inkmill.producer.inputs.sources import Inputs
from inkmill.records import rows
from inkmill.records.chunks import Chunk
from inkmill.records.image_ref import JobFile
from inkmill.records.rows import Row
from inkmill.settings import Settings
from inkmill.worker.link import ModelPayload, Task
from inkmill.worker.pool import EnginePool
from inkmill.worker.sizing import engine_count, threads
from tests.faults.mutants import Mutant, digit_files, mutants, page_files, pixels
from tests.faults.outcome import Outcome
from tests.unit.sheets import load

FILES = int(os.environ.get("FAULT_FILES", "10000"))
#: A page takes fifty times the time of a digit.
PAGES = FILES // 8
#: A damaged header may claim more: that file is TOO_LARGE.
_MOST_PIXELS = 40_000_000
#: What a damaged file may be; anything else is a defect of ours or a death of an engine.
ALLOWED = {
    *(Code.NOT_AN_IMAGE, Code.EMPTY_FILE, Code.TRUNCATED, Code.TOO_LARGE, Code.UNSUPPORTED),
    *(Code.UNREGISTERED, Code.WRONG_FORM, Code.WRONG_SIZE, Code.FAINT, Code.BLANK_PAGE),
    *(Code.CUT_OFF, Code.MISSING),
}


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[EnginePool, ModelPayload]]:
    """Engines with the shipped model."""
    settings = Settings(max_pixels=_MOST_PIXELS)
    made = EnginePool(settings, engine_count(settings), threads(settings))
    shipped = load_shipped()
    files = ModelPayload(
        shipped.manifest.version, shipped.manifest.encode(), shipped.weights, shipped.golden
    )
    try:
        made.load(files)
        yield made, files
    finally:
        made.stop()


def read(
    engines: tuple[EnginePool, ModelPayload], found: list[Mutant], folder: Path, form: str = ""
) -> list[Row]:
    """The rows of these files, in order: a submit's packing, then the engines."""
    folder.mkdir()
    for each in found:
        (folder / each.name).write_bytes(each.data)
    store, (supervisor, model) = MemoryStore(), engines
    packer = Packer(store, "mutants", Limits(_MOST_PIXELS, 100))
    packed = list(chunks("mutants", packer.items(Inputs([str(folder)])), 16 if form else 256))

    def work(chunk: Chunk) -> list[Row]:
        refs = {item.ref for item in chunk.items if item.code is None}
        blobs = {
            str(ref): store.get(names.image("mutants", ref.digest)).data
            for ref in refs
            if isinstance(ref, JobFile)
        }
        task = Task(
            *("mutants", chunk.number, chunk.encode(), len(chunk.items), model.version),
            form=form,
            blobs=blobs,
        )
        answered = rows.decode(supervisor.read(task, lambda _: model).data)
        wanted = [(item.item, item.source, item.page) for item in chunk.items]
        assert [(row.item, row.source, row.page) for row in answered] == wanted
        return answered

    with ThreadPoolExecutor(4) as together:
        return [row for part in together.map(work, packed) for row in part]


def verify(found: list[Mutant], answered: list[Row]) -> Counter[str]:
    """Every file has its rows, each sound; returns how many came to what."""
    assert {row.source for row in answered} == {each.name for each in found}
    outcomes = Counter[str]()
    for row in answered:
        outcomes[str(row.code) if row.status is Status.ERROR else str(row.status)] += 1
        if row.status is Status.ERROR:
            assert row.code in ALLOWED, f"{row.source}: {row.code}: {row.message}"
            assert row.message
            assert not row.fields
            assert not row.digit
        elif row.status is Status.REVIEW:
            assert row.code is not None, row.source
    return outcomes


def told(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in outcomes.most_common())


@pytest.mark.scenario(30)
def test_damaged_files_of_digits(
    engines: tuple[EnginePool, ModelPayload], found: Outcome, tmp_path: Path
) -> None:
    originals = digit_files()
    made = mutants(originals, FILES - PAGES, seed=30)
    pids = engines[0].pids
    answered = read(engines, made, tmp_path / "digits")
    outcomes, undetected = verify(made, answered), 0
    for mutant, row in zip(made, answered, strict=True):
        if row.status is Status.OK and row.digit != mutant.original[-1]:
            # The damage must show in the picture: then nobody can know what it was.
            shown = pixels(mutant.data)
            assert shown is None or not (shown == pixels(originals[mutant.original])).all(), (
                mutant.name
            )
            undetected += shown is None and not mutant.original.startswith("paper.pdf")
            outcomes["read as another digit"] += 1
    assert engines[0].pids == pids, "an engine died"
    found.struck(len(made))
    found.note(f"digits: {told(outcomes)}")
    # OpenCV's decoders say nothing of damage within JPEG and LZW data; Pillow's do.
    found.note(f"{undetected} of them only a stricter decoder would have refused")


@pytest.mark.scenario(30)
def test_damaged_files_of_pages(
    engines: tuple[EnginePool, ModelPayload], found: Outcome, tmp_path: Path
) -> None:
    form = load("tally")
    originals = page_files()
    sound = [Mutant("whole.png", "page.png", originals["page.png"])]
    whole = read(engines, sound, tmp_path / "sound", form.to_text())
    right = accepted(whole[0])
    assert len(right) > 8
    made = mutants(originals, PAGES, seed=31)
    pids = engines[0].pids
    answered = read(engines, made, tmp_path / "pages", form.to_text())
    outcomes = verify(made, answered)
    for row in answered:
        wrong = {
            name: value for name, value in accepted(row).items() if right.get(name, value) != value
        }
        # A sum guards the votes: what damage makes of a digit shows.
        assert not wrong, f"{row.source}: {wrong}"
    assert engines[0].pids == pids, "an engine died"
    found.struck(len(made))
    found.note(f"pages: {told(outcomes)}")


def accepted(row: Row) -> dict[str, str]:
    return {each.name: each.value for each in row.fields if each.status is Status.OK}
