"""The options of a submit, as a watch applies them to one batch after another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill.cli.main import run
from inkmill.codes import Code, Exit
from inkmill.errors import UsageError
from inkmill.lifecycle.lookup import load_job
from inkmill.producer import results, submit
from inkmill.producer.watch import Watch, watch
from tests.fakes import FakeCluster, png, sources, stored_items
from tests.unit.watches import jobs

Scans = Callable[..., Path]
FORM = Path(__file__).resolve().parents[2] / "examples/forms/tally.yaml"


def once(cluster: FakeCluster, folder: Path, **options: object) -> list[str]:
    """The jobs that one run with ``--once`` makes."""
    watched = Watch(
        cluster.connection,
        str(folder),
        name="in",
        once=True,
        **options,  # type: ignore[arg-type]
    )
    made = []
    while (job := watched.look()) is not None:
        made.append(job)
    return made


def missing(cluster: FakeCluster, job: str) -> list[str]:
    return [item.source for item in stored_items(cluster, job) if item.code is Code.MISSING]


def test_every_option_reaches_the_jobs(cluster: FakeCluster, scans: Scans) -> None:
    options = {"form": FORM, "precision": "float32", "priority": "low", "retention_days": 3}
    (job,) = once(cluster, scans(2), **options)
    record = load_job(cluster.store, job)
    assert record.options.precision == "float32"
    assert record.options.priority == "low"
    assert record.retention_days == 3
    assert record.form


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "fast"}, "--precision fast"),
        ({"expect": "/nowhere.csv"}, "--expect /nowhere.csv"),
        ({"form": FORM, "keys": "/nowhere.csv"}, "--keys /nowhere.csv"),
    ],
)
def test_wrong_options_are_refused_at_the_start(
    cluster: FakeCluster, scans: Scans, options: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        once(cluster, scans(1), **options)


def test_a_table_of_keys_is_read_again_for_each_batch(
    cluster: FakeCluster, scans: Scans, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, table = scans(1), tmp_path / "keys.csv"
    table.write_text("source,key\n000.png,D-1\n")
    watched = Watch(
        cluster.connection, str(folder), name="in", settle=0, form=str(FORM), keys=str(table)
    )
    assert watched.look() == "in-000000"
    (folder / "later.png").write_bytes(png(200))
    table.write_text("source,key\n000.png,D-1\nlater.png,D-2\n")
    assert watched.look() == "in-000001"
    assert [item.document_key for item in stored_items(cluster, "in-000000")] == ["D-1"]
    assert [item.document_key for item in stored_items(cluster, "in-000001")] == ["D-2"]
    assert not caplog.records

    (folder / "unknown.png").write_bytes(png(201))
    assert watched.look() == "in-000002"
    assert [record.getMessage() for record in caplog.records] == [
        "1 source (unknown.png) without a key in keys.csv"
    ]


def test_a_watch_waits_while_a_table_is_being_written(
    cluster: FakeCluster, scans: Scans, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, table = scans(2), tmp_path / "keys.csv"
    table.write_text("source,key\n000.png,D-1\n001.png,D-2\n")
    watched = Watch(
        cluster.connection, str(folder), name="in", settle=0, form=str(FORM), keys=str(table)
    )
    complete, made = table.read_text(), list[str]()
    table.write_text("source,ke")

    def stop() -> bool:
        if any("--keys" in record.getMessage() for record in caplog.records):
            table.write_text(complete)
        return bool(made)

    watch(watched, 0.01, stop, made.append)
    assert made == ["in-000000"]
    assert [item.document_key for item in stored_items(cluster, "in-000000")] == ["D-1", "D-2"]


def test_once_gives_each_absent_source_one_row(
    cluster: FakeCluster, scans: Scans, tmp_path: Path
) -> None:
    folder, expected = scans(2), tmp_path / "tonight.csv"
    expected.write_text("source\n000.png\nlate.png\nnever.png\n")
    assert once(cluster, folder, expect=str(expected)) == ["in-000000"]
    assert sources(cluster, "in-000000") == ["000.png", "001.png", "late.png", "never.png"]
    assert missing(cluster, "in-000000") == ["late.png", "never.png"]
    cluster.work()
    messages = [row.message for row in results("in-000000", connection=cluster.connection)]
    assert messages[2:] == 2 * ["listed in tonight.csv, but missing from the inputs"]

    # It is reported once, and a source that comes later is read like any other.
    assert once(cluster, folder, expect=str(expected)) == []
    (folder / "late.png").write_bytes(png(300))
    assert once(cluster, folder, expect=str(expected)) == ["in-000001"]
    assert sources(cluster, "in-000001") == ["late.png"]
    assert missing(cluster, "in-000001") == []


def test_what_came_in_an_earlier_run_and_was_moved_away_is_not_missing(
    cluster: FakeCluster, scans: Scans, tmp_path: Path
) -> None:
    folder, expected = scans(2), tmp_path / "tonight.txt"
    assert once(cluster, folder) == ["in-000000"]
    (folder / "000.png").unlink()
    expected.write_text("000.png\n001.png\nnew.png\n")
    assert once(cluster, folder, expect=str(expected)) == ["in-000001"]
    assert sources(cluster, "in-000001") == missing(cluster, "in-000001") == ["new.png"]


def test_an_interrupted_batch_keeps_its_missing_sources(
    cluster: FakeCluster, scans: Scans, tmp_path: Path
) -> None:
    folder, expected = scans(1), tmp_path / "tonight.txt"
    expected.write_text("never.png\n")
    options = {"name": "in", "expect": str(expected)}
    dying = Watch(cluster.connection, str(folder), once=True, **options)  # type: ignore[arg-type]
    dying._claim(dying._ready())
    again = Watch(cluster.connection, str(folder), settle=0, **options)  # type: ignore[arg-type]
    assert again.look() == "in-000000"
    assert missing(cluster, "in-000000") == ["never.png"]


def test_a_watch_without_end_makes_no_missing_rows_and_says_at_its_end_what_is_absent(
    cluster: FakeCluster,
    scans: Scans,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder, expected = scans(2), tmp_path / "tonight.txt"
    expected.write_text("000.png\nlate.png\n")
    watched = Watch(cluster.connection, str(folder), name="in", settle=0, expect=str(expected))
    assert watched.look() == "in-000000"
    assert sources(cluster, "in-000000") == ["000.png", "001.png"]
    assert watched.absent() == ["late.png"]
    (folder / "late.png").write_bytes(png(300))
    watched.look()
    assert watched.absent() == []

    expected.write_text("000.png\nlate.png\nnever.png\n")
    monkeypatch.setattr("inkmill.cli.commands.watch.connection", lambda: cluster.connection)
    monkeypatch.setattr("inkmill.producer.watch.watch", lambda watched, *_: watched.look())
    monkeypatch.setattr("inkmill.cli.commands.watch.signal.signal", lambda *_: None)
    assert run(["watch", str(folder), "--name", "in", "--expect", str(expected)]) == Exit.DONE
    assert "1 expected source did not arrive: never.png" in capfd.readouterr().err


@pytest.mark.parametrize("new_revision", [False, True])
def test_a_job_that_has_the_name_already(
    cluster: FakeCluster, scans: Scans, new_revision: bool
) -> None:
    """Without --new-revision it counts as the watch's own, as after an interruption."""
    folder = scans(2)
    other = folder.parent / "other"
    other.mkdir()
    (other / "x.png").write_bytes(png(500))
    submit(other, name="in-000000", connection=cluster.connection)

    made = once(cluster, folder, new_revision=new_revision)
    assert made == (["in-000000-r2"] if new_revision else [])
    assert jobs(cluster) == ["in-000000", *made]
    if new_revision:
        assert sources(cluster, "in-000000-r2") == ["000.png", "001.png"]
    assert once(cluster, folder, new_revision=new_revision) == []


def test_new_revisions_are_not_made_of_what_is_submitted_already(
    cluster: FakeCluster, scans: Scans
) -> None:
    """Killed between the job and its mark: the next start finds the job complete."""
    folder = scans(2)
    dying = Watch(cluster.connection, str(folder), name="in", settle=0, new_revision=True)
    dying._claim(dying._ready())
    dying._catch_up()
    assert dying._submitted("in-000000", dying._unfinished[0]) == "in-000000"
    assert once(cluster, folder, new_revision=True) == []
    assert jobs(cluster) == ["in-000000"]
