"""Pages about training: a job's corrections, how a training stands, old against new, promotion."""

from __future__ import annotations

import subprocess
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from inkmill.backends import model_index
from inkmill.desk.context import DeskContext
from inkmill.desk.jobs.live import stream
from inkmill.desk.people.roles import Role
from inkmill.desk.review.requests import review_of
from inkmill.desk.review.work import JobReview
from inkmill.desk.training.asked import DONE, Training, Trainings
from inkmill.desk.training.trainer import trainer_of
from inkmill.desk.web.access import context_of, require
from inkmill.desk.web.address import address
from inkmill.desk.web.pages import fragment, redirect, render
from inkmill.errors import ModelError, NotFound, UsageError
from inkmill.processes import run_command
from inkmill.records.events import UNREADABLE

#: A loss of accuracy that is accepted without a word: that of `inkmill train`.
MARGIN = 0.002
#: Cutting out and copying the scans of a job takes so long at most (seconds).
_SET_SECONDS = 1800
_PROMOTE_SECONDS = 120


@require(Role.SUPERVISOR)
def models(request: Request) -> Response:
    """The models that are served, and the trainings."""
    context = context_of(request)
    settings = context.settings
    names = dict.fromkeys((settings.model, settings.strips_model))
    return render(
        request,
        "training/models.html",
        served={name: _served(context, name) for name in names},
        trainings=Trainings(context.store).all(),
        trainer=trainer_of(context.connection),
    )


def _served(context: DeskContext, name: str) -> str:
    """The version that is served under a name; "" for none."""
    try:
        return model_index.latest(context.store, name).version
    except (NotFound, ModelError):
        return ""


@require(Role.SUPERVISOR)
def of_job(request: Request) -> Response:
    """What a job's corrections amount to, and the trainings with them."""
    context, review = context_of(request), review_of(request)
    job = review.record.job
    return render(
        request,
        "training/job.html",
        job=review.record,
        count=_count(review),
        trainings=[each for each in Trainings(context.store).all() if each.job == job],
        trainer=trainer_of(context.connection),
    )


def _count(review: JobReview) -> int:
    """How many fields hold a value that people entered."""
    found = review.known.verdicts(fresh=0.0).values()
    return sum(each.value not in (None, "", UNREADABLE) for each in found)


@require(Role.SUPERVISOR)
def training_set(request: Request) -> Response:
    """A job's corrections as a training set: what `inkmill data from-job` writes, in one file."""
    context, review = context_of(request), review_of(request)
    job = review.record
    folder = Path(tempfile.mkdtemp(prefix="inkmill-desk-"))
    packed = folder / "set.zip"
    try:
        said = _run(context, ["data", "from-job", job.job, "-o", str(folder / "set")], _SET_SECONDS)
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:
            for path in sorted((folder / "set").rglob("*")):
                file.write(path, path.relative_to(folder / "set"))
    except BaseException:
        _remove(folder)
        raise
    context.trail.add(
        request.state.person.name,
        "export",
        f"training set: {said.rpartition(': ')[2]}",
        job=job.job,
        address=address(request),
    )
    return FileResponse(
        packed,
        filename=f"{job.label}-training-set.zip",
        background=BackgroundTask(_remove, folder),
    )


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def _run(context: DeskContext, arguments: Sequence[str], seconds: float) -> str:
    """Run a command of ours with the desk's settings: this process loads no OpenCV and no model.

    Returns the last line that it says. Raises UsageError with it if the command fails.
    """
    try:
        code, said = run_command(
            arguments, settings=context.settings.environment(), seconds=seconds
        )
    except subprocess.TimeoutExpired:
        shown = " ".join(arguments[:2])
        raise UsageError(
            f"`inkmill {shown}` took longer than {seconds / 60:.0f} minutes: run it on a machine "
            "that is less busy"
        ) from None
    words = said.splitlines()[-1:] or ["it said nothing"]
    if code:
        raise UsageError(words[0].removeprefix("Error: "))
    return words[0]


@require(Role.SUPERVISOR)
def ask(request: Request) -> Response:
    """Ask the trainer for a model that is trained with the job's corrections as well."""
    context, review = context_of(request), review_of(request)
    job, count, person = review.record, _count(review), request.state.person.name
    if not count:
        raise UsageError("nobody has entered a value in this job yet: review it first")
    made = Trainings(context.store).ask(job=job.job, label=job.label, person=person, count=count)
    context.trail.add(
        person, "train", f"{made.id}: {count} fields", job=job.job, address=address(request)
    )
    said = f"A training with {count:,} corrected fields waits for the trainer."
    return redirect(request, f"/models/{made.id}", said)


@require(Role.SUPERVISOR)
def one(request: Request) -> Response:
    """A training: how it goes, what it came to, and the button that promotes its model."""
    context = context_of(request)
    training, _ = Trainings(context.store).get(request.path_params["training"])
    return render(
        request,
        "training/one.html",
        training=training,
        body=_state(request),
        objections=objections(training),
        served=_served(context, training.outcome.model) if training.outcome else "",
    )


@require(Role.SUPERVISOR)
async def one_live(request: Request) -> Response:
    """The same as it goes."""
    return stream(request, lambda: _state(request))


def _state(request: Request) -> str:
    context = context_of(request)
    training, _ = Trainings(context.store).get(request.path_params["training"])
    return fragment(
        request,
        "training/_state.html",
        training=training,
        trainer=trainer_of(context.connection) if training.open else "",
    )


def objections(training: Training) -> list[str]:
    """What speaks against promoting a trained model, in sentences; a person must overrule each."""
    found = training.outcome
    if found is None:
        return []
    said = [
        f"It reads {each.new:.2%} of {each.name} correctly, the model served now {each.old:.2%}."
        for each in found.sets
        if each.worse > MARGIN
    ]
    if found.replaces and all(each.old < 0 for each in found.sets):
        said.append("There is no test set on which both models were measured.")
    if found.again is None:
        said.append(f"No page was read by both models: {found.missing or 'none was left'}.")
    return said


@require(Role.SUPERVISOR)
def act(request: Request) -> Response:
    """Stop a training, or promote the model that it made."""
    context, form = context_of(request), request.state.form
    trainings, person = Trainings(context.store), request.state.person.name
    training, etag = trainings.get(request.path_params["training"])
    here, action = f"/models/{training.id}", str(form.get("action", ""))
    if action == "stop":
        trainings.stop(training.id)
        context.trail.add(person, "stop-training", training.id, address=address(request))
        return redirect(request, here, "The training is stopped.")
    if action != "promote":
        raise HTTPException(400, f"there is no action {action[:40]!r}")
    version = _promote(context, training, sure=bool(form.get("sure")))
    trainings.change(training, etag, promoted_by=person, promoted=time.time())
    context.trail.add(person, "promote", f"{version} of {training.id}", address=address(request))
    return redirect(request, here, f"Workers read new jobs with {version[:12]} from now on.")


def _promote(context: DeskContext, training: Training, *, sure: bool) -> str:
    """Serve a training's model in place of the one it was compared with. Raises UsageError."""
    found = training.outcome
    if training.state != DONE or found is None:
        raise UsageError("this training has no model that could be promoted")
    if objections(training) and not sure:
        raise UsageError(
            f"{' '.join(objections(training))} Tick the box beside the button to promote it anyway"
        )
    command = ["models", "promote", found.version, "--name", found.model]
    if found.replaces:
        command += ["--instead-of", found.replaces]
    _run(context, command, _PROMOTE_SECONDS)
    return found.version


routes: list[BaseRoute] = [
    Route("/models", models, methods=["GET"]),
    Route("/models/{training}", one, methods=["GET"]),
    Route("/models/{training}", act, methods=["POST"]),
    Route("/models/{training}/live", one_live, methods=["GET"]),
    Route("/review/{job}/training", of_job, methods=["GET"]),
    Route("/review/{job}/training", ask, methods=["POST"]),
    Route("/review/{job}/training-set", training_set, methods=["GET"]),
]
