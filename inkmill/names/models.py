"""Keys of models, trainings and thresholds in the bucket."""

from __future__ import annotations

import re

from inkmill.errors import UsageError
from inkmill.names.identifiers import check_job, check_model, check_sha256

MODELS = "models/"
RUNS = "runs/"
ACCEPTANCE = "acceptance/"


def model_root(name: str) -> str:
    return f"{MODELS}{check_model(name)}/"


def model_pointer(name: str) -> str:
    return f"{model_root(name)}latest.json"


def model_version(name: str, version: str) -> str:
    return f"{model_root(name)}{check_sha256(version)}/"


def model_weights(name: str, version: str) -> str:
    return f"{model_version(name, version)}weights.safetensors"


def model_golden(name: str, version: str) -> str:
    """Crops with their expected probabilities: what a loaded model is checked against."""
    return f"{model_version(name, version)}golden.safetensors"


def model_training_images(name: str, version: str) -> str:
    """Digests of the images that a model was trained on; not every model has the list."""
    return f"{model_version(name, version)}training-images.bin"


def model_manifest(name: str, version: str) -> str:
    return f"{model_version(name, version)}manifest.json"


def run_root(run: str) -> str:
    """A training run's checkpoints."""
    return f"{RUNS}{check_job(run)}/"


def run_queued(run: str) -> str:
    """That a run was submitted to trainers, and what became of it."""
    return f"{run_root(run)}queued.json"


def run_model(run: str, version: str) -> str:
    """The files of a finished run's model."""
    return f"{run_root(run)}models/{check_sha256(version)}/"


def acceptance(form_hash: str, version: str, precision: str) -> str:
    """What a form's labels say of a model in a precision: thresholds, or that there are none."""
    if not re.fullmatch(r"[a-z0-9]{1,20}(-[a-z0-9]{1,20})?", precision):
        raise UsageError(f"{precision!r} is not a precision")
    return f"{ACCEPTANCE}{check_sha256(form_hash)}/{check_sha256(version)}-{precision}.json"


def acceptances(form_hash: str) -> str:
    """Folder of what is known of a form's thresholds, for every model and precision."""
    return f"{ACCEPTANCE}{check_sha256(form_hash)}/"


def comparison(form_hash: str, old: str, new: str) -> str:
    """What changed when pages of a form were read by another model."""
    digests = f"{check_sha256(old)}-{check_sha256(new)}"
    return f"{ACCEPTANCE}{check_sha256(form_hash)}/compared/{digests}.json"
