"""The desk beside a real worker: readings in the template editor; corrections become a model."""

from __future__ import annotations

import csv
import time
import zipfile
from io import BytesIO
from pathlib import Path

from inkmill.backends import event_log, model_index
from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from inkmill.producer import connect, results, submit, wait
from inkmill.records.events import PAGE, Event
from inkmill.settings import Settings
from tests.integration.processes import command
from tests.unit.desk_visits import visit
from tests.unit.digit_images import write_mnist

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

CONFIG = """
architecture = "lenet5"
classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "blank", "reject", "X", "-"]

[[sources]]
kind = "mnist"
path = "mnist"

[negatives]
blank = 0.1
reject = 0.1
marks = 0.1

[training]
steps = 20
batch = 10
precision = "float32"
"""


def test_the_editor_shows_what_a_worker_reads_of_a_scan(running: Settings) -> None:
    scan, sue = (
        EXAMPLES / "scans/forms/tally_03.png",
        visit(DeskContext(connect(running)), Role.SUPERVISOR, "eva"),
    )
    sue.headers |= {"X-CSRF-Token": sue.csrf, "Accept": "application/json"}
    file = {"X-File-Name": "tally.yaml", "Content-Type": "application/octet-stream"}
    template = (EXAMPLES / "forms/tally.yaml").read_bytes()
    opened = sue.post("/templates/drafts", content=template, headers=file)
    address = opened.json()["location"]
    sue.post(
        f"{address}/scans", content=scan.read_bytes(), headers={**file, "X-File-Name": scan.name}
    )
    assert sue.post(f"{address}/readings", json={}).status_code == 202
    end = time.monotonic() + 120
    while (found := sue.get(f"{address}/readings").json()["scans"]) is None:
        assert time.monotonic() < end
        time.sleep(0.1)
    (read,) = found.values()
    with (scan.parent / "truth.csv").open(newline="") as table:
        (truth,) = (line for line in csv.DictReader(table) if line["source"] == scan.name)
    accepted = {
        name: each["value"]
        for name, each in read["fields"].items()
        if each["status"] == "ok" and name in truth
    }
    assert len(accepted) >= 5
    assert accepted == {name: truth[name] for name in accepted}


def test_corrections_are_trained_with_compared_and_promoted(
    running: Settings, tmp_path: Path
) -> None:
    # The last of the module: the model that it promotes reads badly.
    connection = connect(running)
    scans = EXAMPLES / "scans/forms"
    job = submit(scans, form=EXAMPLES / "forms/tally.yaml", name="own", connection=connection)
    wait(job, timeout=120, connection=connection)
    typed = [
        Event(row.item, each.name, each.value, each.value, "anna", 1.0 + row.item, PAGE)
        for row in results(job, connection=connection)
        for each in row.fields
        if each.cells and each.value
    ]
    assert typed
    record = connection.jobs.get(job)
    event_log.add(connection.store, record.job, typed)
    old = model_index.latest(connection.store, running.model).version

    sue = visit(DeskContext(connection), Role.SUPERVISOR)
    page = sue.get(f"/review/{job}/training").text
    assert f"<strong>{len(typed)}</strong> fields hold a value" in page
    assert "No trainer is running" in page
    packed = zipfile.ZipFile(BytesIO(sue.get(f"/review/{job}/training-set").content))
    assert {"verified.csv", "form.yaml"} < set(packed.namelist())
    asked = sue.post(f"/review/{job}/training", data={"csrf": sue.csrf})
    assert "waits for the trainer" in asked.text
    training = str(asked.url)

    write_mnist(tmp_path / "mnist", train=200, test=50)
    (tmp_path / "own.toml").write_text(CONFIG)
    arguments = ("trainer", tmp_path / "own.toml", "--data", tmp_path, "--once", "--wait", 600)
    trainer = command(running, *arguments)
    _, said = trainer.communicate(timeout=900)
    assert trainer.returncode == 0
    assert "carried out 1 training" in said

    page = sue.get(training).text
    assert "Old against new" in page, page
    assert f"Trained with {len(typed)} corrected fields on" in page
    assert ">mnist<" in page
    assert ">corrections<" in page
    assert "Pages read by both" in page
    assert "Fields accepted with the old model" in page
    assert model_index.latest(connection.store, running.model).version == old
    # Twenty steps make no good model: it is not promoted by one click.
    refused = sue.post(training, data={"csrf": sue.csrf, "action": "promote"})
    assert refused.status_code == 400
    assert "the model served now" in refused.text
    done = sue.post(training, data={"csrf": sue.csrf, "action": "promote", "sure": "on"})
    assert "Workers read new jobs with" in done.text
    pointer = model_index.latest(connection.store, running.model)
    assert pointer.version != old
    assert pointer.history[0] == old
