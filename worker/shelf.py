"""The model versions that an engine holds: a few, the least recently used goes."""

from __future__ import annotations

from collections import OrderedDict

from inkmill.errors import ModelError
from inkmill.models.manifest import Manifest
from inkmill.models.predictor import Predictor


class Shelf:
    """Predictors by version, each checked against its golden set before it serves."""

    def __init__(self, kept: int, threads: int) -> None:
        self._kept = kept
        self._threads = threads
        self._predictors: OrderedDict[str, Predictor] = OrderedDict()

    def load(self, manifest: bytes, weights: bytes, golden: bytes) -> Predictor:
        """Load and check a version beside those that serve. Raises ModelError.

        Where a version of the same architecture has to go, its network takes the new weights:
        nothing is compiled again.
        """
        model = Manifest.decode(manifest)
        self._predictors.pop(model.version, None)
        model.weights.check("weights", weights)
        model.golden.check("golden set", golden)
        predictor = self._spare(model)
        if predictor is not None:
            predictor.load(model, weights)
        else:
            predictor = Predictor(model, weights, threads=self._threads)
        predictor.check(golden)
        self._predictors[model.version] = predictor
        return predictor

    def _spare(self, model: Manifest) -> Predictor | None:
        """Make room; the predictor that goes serves again if its network is the same."""
        if len(self._predictors) < self._kept:
            return None
        _, oldest = self._predictors.popitem(last=False)
        return oldest if oldest.manifest.same_network(model) else None

    def get(self, version: str) -> Predictor:
        """The predictor of a loaded version. Raises ModelError."""
        try:
            self._predictors.move_to_end(version)
        except KeyError:
            raise ModelError(f"version {version[:12]} is not loaded in this engine") from None
        return self._predictors[version]

    @property
    def versions(self) -> list[str]:
        return list(self._predictors)
