"""The model versions in an engine's memory: a few; the least recently used one is dropped."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from inkmill.errors import ModelError
from inkmill.models import autotune
from inkmill.models.manifest import Manifest
from inkmill.models.predictor import Predictor
from inkmill.models.runtimes.protocol import PRECISIONS
from inkmill.records.jobs import ANY_PRECISION

log = logging.getLogger(__name__)


@dataclass(slots=True)
class CachedModel:
    """A version: its files, and a predictor for each precision that was asked for so far."""

    manifest: Manifest
    weights: bytes
    golden: bytes
    usual: str = autotune.FLOAT32
    predictors: dict[str, Predictor] = field(default_factory=dict)


class ModelCache:
    """Predictors by version, each checked against its golden set before it serves."""

    def __init__(self, kept: int, threads: int, cache: Path) -> None:
        self._kept = kept
        self._threads = threads
        self._cache = cache
        self._others = autotune.OtherWork()
        self._held: OrderedDict[str, CachedModel] = OrderedDict()

    def load(self, manifest: bytes, weights: bytes, golden: bytes) -> Predictor:
        """Load and check a version beside those that serve. Raises ModelError.

        Where a version of the same architecture is dropped, its network takes the new weights, so
        that nothing is compiled again.
        """
        model = Manifest.decode(manifest)
        self._held.pop(model.version, None)
        model.weights.check("weights", weights)
        model.golden.check("golden set", golden)
        new = CachedModel(model, weights, golden)
        new.usual = autotune.precision_for(model, weights, golden, self._cache, self._threads)
        predictor = self._predictor(new, new.usual, self._spare(model))
        self._held[model.version] = new
        return predictor

    def _spare(self, model: Manifest) -> dict[str, Predictor]:
        """Make room; returns predictors of the dropped version whose network can be used again."""
        if len(self._held) < self._kept:
            return {}
        _, oldest = self._held.popitem(last=False)
        return oldest.predictors if oldest.manifest.same_network(model) else {}

    def _predictor(
        self, held: CachedModel, precision: str, spare: dict[str, Predictor]
    ) -> Predictor:
        """A checked predictor; in another precision where this one does not work here."""
        try:
            predictor = spare.get(precision)
            if predictor is not None:
                predictor.load(held.manifest, held.weights, held.golden)
            else:
                predictor = Predictor(
                    held.manifest,
                    held.weights,
                    precision=precision,
                    threads=self._threads,
                    golden=held.golden,
                )
            predictor.check(held.golden)
        except ModelError as error:
            if precision == autotune.FLOAT32:
                raise
            other = self._instead_of(precision, held)
            log.warning("%s; it runs in %s instead", error, other)
            predictor = self._predictor(held, other, spare)
        held.predictors[precision] = predictor
        return predictor

    def _instead_of(self, precision: str, held: CachedModel) -> str:
        """The host's second choice instead of its first; float32 instead of what a job asked for,
        as on every host."""
        if precision != held.usual:
            return autotune.FLOAT32
        return autotune.instead_of(precision, held.manifest, self._cache, self._threads)

    def use(self, version: str) -> None:
        """A chunk is to be read by this version: it is dropped last, if it is here."""
        if version in self._held:
            self._held.move_to_end(version)

    def get(self, version: str, precision: str = ANY_PRECISION) -> Predictor:
        """The predictor of a loaded version, in the precision that a job is pinned to.

        Its rows name the precision that it really has. Raises ModelError.
        """
        held = self._held.get(version)
        if held is None:
            raise ModelError(f"version {version[:12]} is not loaded in this engine")
        wanted = held.usual if precision == ANY_PRECISION else precision
        if wanted not in PRECISIONS:
            raise ModelError(f"{wanted!r} is not a precision")
        return held.predictors.get(wanted) or self._predictor(held, wanted, {})

    def reconsider(self, give_way: Callable[[], bool]) -> None:
        """Follow the host's latest verdict on each network that is held, which may be measured
        again first. For an idle engine; ``give_way`` says that it is one no longer."""
        quiet = self._others.share() <= autotune.QUIET
        for held in list(self._held.values()):
            if give_way():
                return
            now = autotune.reconsider(
                held.manifest,
                held.weights,
                held.golden,
                cache=self._cache,
                threads=self._threads,
                achieved=_achieved(held),
                quiet=quiet,
                give_way=give_way,
            )
            if now and now != held.usual:
                self._switch(held, now)

    def _switch(self, held: CachedModel, precision: str) -> None:
        try:
            predictor = self._predictor(held, precision, {})
        except ModelError as error:
            log.warning("%s; it stays in %s", error, held.usual)
            return
        log.info("version %s runs in %s from now on", held.manifest.version[:12], precision)
        held.usual, held.predictors = precision, {precision: predictor}

    @property
    def versions(self) -> list[str]:
        return list(self._held)


def _achieved(held: CachedModel) -> float:
    """Images per second since the last call, in the precision of the verdict; 0 for unknown."""
    used = held.predictors.get(held.usual)
    if used is None or used.precision != held.usual:
        return 0.0
    return used.take_pace()
