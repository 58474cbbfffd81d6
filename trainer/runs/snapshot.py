"""The model of a run: a finished one's, or the weights of the newest checkpoint."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from inkmill import names
from inkmill.errors import NotFound
from inkmill.models.manifest import Blob
from inkmill.models.predictor import Predictor
from inkmill.models.strips import StripReader
from inkmill.models.weights import ModelFiles, encode_weights
from inkmill.trainer.config import Config
from inkmill.trainer.measure.strings import LabelledStrips
from inkmill.trainer.publish.drafts import draft
from inkmill.trainer.publish.finish import golden_of
from inkmill.trainer.publish.finish_strings import golden_strips
from inkmill.trainer.runs import checkpoints, listing, stored_models
from inkmill.trainer.runs.storage import RunStore

#: Crops of noise in the golden set, which only has to show that an export computes the same.
_GOLDEN = 16
#: The kinds of weights in a checkpoint: the first that is there is what a training would use.
_KINDS = ("best", "average", "weights")


def model_of(store: RunStore, run: str) -> ModelFiles:
    """The model that a finished run came to; else that of its newest checkpoint.

    The latter has the best or averaged weights, if there are any, and is not calibrated: its
    confidence is the network's. Raises NotFound if there is no such run, or no checkpoint yet.
    """
    found_run = listing.show(store, run)
    config = found_run.config
    if found_run.result is not None:
        # One deleted by hand: its last checkpoint is nearly the same.
        with suppress(NotFound):
            return stored_models.read(store, names.run_model(run, found_run.result["version"]))
    found = checkpoints.latest(store, run)
    if found is None:
        raise NotFound(f"run {run} has no checkpoint yet: wait for its first one")
    step, arrays = found
    kind = next(each for each in _KINDS if any(name.startswith(f"{each}/") for name in arrays))
    weights = encode_weights(
        {
            name.removeprefix(f"{kind}/"): np.asarray(value)
            for name, value in arrays.items()
            if name.startswith(f"{kind}/")
        }
    )
    golden = _golden(config, weights)
    listed = store.get(checkpoints.run_images(run)).data
    manifest = replace(
        draft(config, weights),
        golden=Blob.of(golden),
        trained_on=Blob.of(listed),
        config=config.model_dump(mode="json"),
        metrics={"run": run, "steps": step},
    )
    return ModelFiles(manifest, weights, golden, listed)


def _golden(config: Config, weights: bytes) -> bytes:
    manifest = draft(config, weights)
    if config.reads_strips:
        return golden_strips(StripReader(manifest, weights), LabelledStrips([], [], []))
    size = (_GOLDEN, config.input_size, config.input_size)
    crops = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    return golden_of(Predictor(manifest, weights), crops).encode()
