"""What older programs wrote is read; what newer ones write is refused with a clear message.

Each folder of tests/samples is a bucket as one schema number left it (`tests.samples`).
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inkmill.backends.queue.workers import Presence
from inkmill.desk.account import first_link
from inkmill.desk.editor.draft import Draft
from inkmill.desk.jobs.submits import Submit
from inkmill.desk.people.sessions import Session
from inkmill.desk.people.trail import Deed
from inkmill.desk.people.users import Person
from inkmill.desk.review import tasks
from inkmill.desk.training.asked import Training
from inkmill.errors import BadMessage, Corrupt, FormError, Newer
from inkmill.lifecycle import identity, marker
from inkmill.lifecycle.purge import Purged
from inkmill.models import manifest
from inkmill.models.registry import Registry
from inkmill.people.audit import AuditSample
from inkmill.people.compare import ComparisonRecord
from inkmill.producer.tables.row_counts import RowCounts
from inkmill.producer.watch.batches import WatchBatch
from inkmill.records import codec, pointer, rows
from inkmill.records.chunks import Chunk
from inkmill.records.events import EventBatch
from inkmill.records.evidence import AttemptMark, Evidence
from inkmill.records.jobs import Job
from inkmill.records.messages import Delivery, Message
from inkmill.records.notices import Waiting
from inkmill.records.summary import Summary
from inkmill.rules.accept import FormCalibration
from inkmill.template.form import Form
from inkmill.trainer.runs import checkpoints
from inkmill.trainer.runs.queued import QueuedRun
from inkmill.worker.chunk.isolation import IsolationState
from tests.fakes import FakeCluster
from tests.samples import VERSIONS, Sample, load, rows_of
from tests.unit.test_structure import SOURCES

STORAGE = (Path(__file__).parents[2] / "docs/reference/storage.md").read_text(encoding="utf-8")
LATEST = VERSIONS[-1]

#: Every kind of record that is stored as JSON, by its key; and the field of its schema number.
_RECORDS: list[tuple[str, type[Any], str]] = [
    (r"open/[^/]+", marker._Marker, "schema"),
    (r"names/.*", identity._Record, "schema"),
    (r"jobs/[^/]+/job\.json", Job, "schema"),
    (r"jobs/[^/]+/summary\.json", Summary, "schema"),
    (r"jobs/[^/]+/settled\.json", RowCounts, "schema"),
    (r"jobs/[^/]+/purged\.json", Purged, "schema"),
    (r"jobs/[^/]+/attempts/\d+-\d+\.json", AttemptMark, "schema"),
    (r"jobs/[^/]+/attempts/\d+-suspect\.json", IsolationState, "schema"),
    (r"jobs/[^/]+/quarantine/.*", Evidence, "schema"),
    (r"jobs/[^/]+/events/.*", EventBatch, "schema"),
    (r"jobs/[^/]+/audits/.*", AuditSample, "schema"),
    (r"jobs/[^/]+/trail/.*|desk/trail/.*", Deed, "schema"),
    (r"jobs/[^/]+/review/options\.json", tasks.Options, "schema"),
    (r"jobs/[^/]+/review/rounds/.*", tasks.Round, "schema"),
    (r"jobs/[^/]+/review/remarks/.*", tasks.Remark, "schema"),
    (r"models/[^/]+/latest\.json", pointer._Record, "inkmill_pointer"),
    (r"models/.*/manifest\.json", manifest._Record, "inkmill_model"),
    (r"runs/[^/]+/run\.json", checkpoints._Run, "inkmill_run"),
    (r"runs/[^/]+/queued\.json", QueuedRun, "inkmill_queued_run"),
    (r"runs/[^/]+/step-\d+\.json", checkpoints._Checkpoint, "inkmill_checkpoint"),
    (r"acceptance/[^/]+/[^/]+", FormCalibration, "schema"),
    (r"acceptance/.*/compared/.*", ComparisonRecord, "schema"),
    (r"desk/people/.*", Person, "schema"),
    (r"desk/sessions/.*", Session, "schema"),
    (r"desk/link\.json", first_link._Link, "schema"),
    (r"desk/submits/.*/submit\.json", Submit, "schema"),
    (r"desk/trainings/.*\.json", Training, "schema"),
    (r"outbox/[^/]+", Waiting, "schema"),
]
#: Nothing decodes these: files of users, arrays, pages for people, markers that only exist.
_BYTES = re.compile(
    r".*/(images|pictures|files)/[^/]+|.*\.(safetensors|html|bin)|.*/cancelled\.json"
    r"|jobs/[^/]+/review/done/.*|expiry/.*|runs/[^/]+/result\.json"
)
#: Read by other means than the codec, and tested one by one below.
_OTHERS = re.compile(r".*\.parquet|watches/.*|forms/.*|desk/drafts/[^/]+/draft\.json")


@pytest.fixture(scope="module", params=VERSIONS)
def sample(request: pytest.FixtureRequest) -> Sample:
    return load(request.param)


@dataclass(frozen=True)
class Stored:
    key: str
    data: bytes
    kind: type[Any]
    schema_field: str

    def decode(self, data: bytes | None = None) -> Any:
        return codec.decode(
            self.kind,
            self.data if data is None else data,
            self.key,
            schema=number_of(self.kind, self.schema_field),
            schema_field=self.schema_field,
        )


def number_of(kind: type[Any], schema_field: str) -> int:
    """The highest schema number of a record, as its own declaration says."""
    hint = next(each for each in dataclasses.fields(kind) if each.name == schema_field)
    namespace = vars(__import__(kind.__module__, fromlist=["_"]))
    bounds = eval(str(hint.type), namespace).__metadata__[0]
    return int(bounds.le)


def records(sample: Sample) -> Iterator[Stored]:
    for key in sample.objects():
        for pattern, kind, schema_field in _RECORDS:
            if re.fullmatch(pattern, key):
                yield Stored(key, sample.store.get(key).data, kind, schema_field)


def test_every_object_of_a_sample_is_of_a_known_kind(sample: Sample) -> None:
    known = {each.key for each in records(sample)}
    others = {key for key in sample.objects() if _BYTES.fullmatch(key) or _OTHERS.fullmatch(key)}
    assert set(sample.objects()) == known | others
    assert not known & others


def test_every_kind_of_object_has_a_sample() -> None:
    """By the tables of the reference page; the pages of the desk's folder name two at once."""
    keys = load(LATEST).objects()
    told = re.findall(r"^\| `([^`]+)` \|", STORAGE.split("\n## Events")[0], re.MULTILINE)
    told += re.findall(r"^\| `(jobs/[^`]+)` \|", STORAGE, re.MULTILINE)
    assert len(told) > 30
    for pattern in {*told} - {"doctor/"}:
        found = re.sub(r"<[^>]+>", r"[^/]+", re.escape(pattern).replace("\\<", "<"))
        assert any(re.match(found, key) for key in keys), f"no sample of {pattern}"


def test_older_records_are_read(sample: Sample) -> None:
    for each in records(sample):
        assert each.decode() is not None


def test_a_record_that_changed_has_a_new_number_and_a_new_sample() -> None:
    """What is written today is what the newest sample holds: no field more, none less."""
    for each in records(load(LATEST)):
        if each.kind is manifest._Record:
            continue  # its own canonical JSON leaves defaults of layers out; see below
        written = json.loads(json.dumps(dataclasses.asdict(each.decode())))
        assert written == json.loads(each.data), (
            f"{each.key}: raise the schema number of {each.kind.__name__}, and make "
            "a folder of samples with it: python -m tests.samples"
        )


def test_newer_records_are_refused_with_the_remedy(sample: Sample) -> None:
    for each in records(sample):
        content = json.loads(each.data)
        content[each.schema_field] = number_of(each.kind, each.schema_field) + 1
        content["invented"] = {"by": "a newer program"}
        with pytest.raises(Newer, match=r"written by a newer Inkmill .* update this program"):
            each.decode(json.dumps(content).encode())


def decodings() -> Iterator[tuple[str, ast.Call]]:
    for module, path in SOURCES.items():
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "codec.decode(" in text else ():
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func) == "codec.decode"
            ):
                yield module, node


def test_every_reader_says_which_number_it_knows() -> None:
    """Else a newer record would be called damaged. What is no record of its own is listed."""
    parts = {
        "inkmill.desk.training.asked",
        "inkmill.people.lists.lines",
        "inkmill.producer.tables.settlement",
    }
    found = list(decodings())
    assert len(found) > 20
    without = {
        module for module, call in found if "schema" not in {each.arg for each in call.keywords}
    }
    assert without == parts


def test_newer_tables_are_refused_and_changed_ones_have_a_new_number() -> None:
    sample = load(LATEST)
    keys = [key for key in sample.objects() if key.endswith(".parquet")]
    assert {key.split("/")[2] for key in keys} == {"chunks", "results", "fixes", "review"}
    for key in keys:
        table = pq.read_table(pa.BufferReader(sample.store.get(key).data))
        if "/chunks/" in key:
            decode: Any = Chunk.decode
            current = pq.read_schema(pa.BufferReader(decode(sample.store.get(key).data).encode()))
        else:
            decode, current = rows.decode, rows.schema()
        assert table.schema.equals(current), f"{key}: raise SCHEMA_VERSION, make new samples"
        about = {**(table.schema.metadata or {})}
        about[b"inkmill"] = str(int(about[b"inkmill"]) + 1).encode()
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata(about), sink)
        with pytest.raises(Newer, match="update this program"):
            decode(sink.getvalue().to_pybytes())


def test_other_stored_documents_are_read_and_newer_ones_refused(sample: Sample) -> None:
    for key in sample.objects():
        data = sample.store.get(key).data
        if key.startswith("watches/"):
            assert WatchBatch.decode(data).marks
            with pytest.raises(Newer, match="update this program"):
                WatchBatch.decode(data.replace(b'"schema": 1', b'"schema": 99'))
        elif key.endswith("/draft.json"):
            assert Draft.decode(data).pages
            with pytest.raises(Newer, match="update this program"):
                Draft.decode(data.replace(b'"inkmill_draft":1', b'"inkmill_draft":99'))
        elif key.startswith("forms/"):
            text = data.decode()
            assert Form.parse(text, key).to_text() == text
            with pytest.raises(FormError, match=r"newer Inkmill.*update this program"):
                Form.parse(text.replace("inkmill_form: 1", "inkmill_form: 2"), key)


def test_entries_of_redis_are_read_and_newer_ones_set_aside(sample: Sample) -> None:
    message = Message.in_entry(sample.redis["message"])
    assert Delivery.decode(sample.redis["delivery"]).message == message
    for kind, read in (("delivery", Delivery.decode), ("presence", Presence.decode)):
        written = json.loads(json.dumps(dataclasses.asdict(read(sample.redis[kind]))))
        assert written == json.loads(sample.redis[kind]), f"{kind}: raise its schema number"
    with pytest.raises(BadMessage, match="newer Inkmill"):
        Message.decode({"schema": 2, "job": message.job, "chunk": 0})
    with pytest.raises(BadMessage, match="newer Inkmill"):
        Delivery.decode(sample.redis["delivery"].replace(b'"schema": 1', b'"schema": 2'))


def test_a_worker_of_the_next_version_is_alive(sample: Sample) -> None:
    """Beside older ones, in a rolling upgrade: else they would take its chunks away."""
    newer = json.loads(sample.redis["presence"]) | {"schema": 2, "engines": [{"cores": 3}]}
    found = Presence.decode(json.dumps(newer).encode())
    assert found == Presence.decode(sample.redis["presence"])
    for absurd in ({"slots": 10**9}, {"seen": -1.0}, {"process": ["x"]}, {"rate": float("inf")}):
        with pytest.raises(Corrupt):
            Presence.decode(json.dumps({**newer, **absurd}).encode())
    for junk in (b'{"schema": 2}', b'{"schema": 2, "slots": null}'):
        with pytest.raises(Corrupt):
            Presence.decode(junk)


def test_an_older_bucket_gives_the_same_results(sample: Sample, tmp_path: Path) -> None:
    """As people see them: rows, with what they entered; the open job goes on; a model is used."""
    cluster = FakeCluster(sample.store, cache_dir=tmp_path)
    assert rows_of(cluster.connection) == sample.rows
    registry = Registry(sample.store, "numbers")
    assert registry.fetch(registry.latest().version).manifest.reads_strips
    found = checkpoints.latest(sample.store, "july")
    assert found is not None
    assert found[0] == 10
