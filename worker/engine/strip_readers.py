"""The strip readers in an engine's memory: a few versions; the one used longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError
from inkmill.forms.field_results import Strings
from inkmill.models.manifest import Manifest
from inkmill.models.strips import ReadsStrips
from inkmill.records.rows import StringReading

if TYPE_CHECKING:
    from inkmill.models.strips import StripReader


class StripReaders:
    """Strip readers by version, each checked against its golden set before it serves.

    The first one is loaded for the first chunk that needs it: a job without such numbers costs
    nothing.
    """

    def __init__(self, kept: int, threads: int) -> None:
        self._kept = kept
        self._threads = threads
        self._held: OrderedDict[str, StripReader] = OrderedDict()

    def load(self, manifest: bytes, weights: bytes, golden: bytes) -> StripReader:
        """Load and check a version beside those that serve. Raises ModelError."""
        from inkmill.models.strips import StripReader

        model = Manifest.decode(manifest)
        self._held.pop(model.version, None)
        model.weights.check("weights", weights)
        model.golden.check("golden set", golden)
        reader = self._spare(model)
        if reader is not None:
            reader.load(model, weights)
        else:
            reader = StripReader(model, weights, threads=self._threads)
        reader.check(golden)
        self._held[model.version] = reader
        return reader

    def _spare(self, model: Manifest) -> StripReader | None:
        """Make room; returns the reader of a dropped version whose network can be used again."""
        if len(self._held) < self._kept:
            return None
        _, oldest = self._held.popitem(last=False)
        return oldest if oldest.manifest.same_network(model) else None

    def use(self, version: str) -> None:
        """A chunk is to be read by this version: it is dropped last, if it is here."""
        if version in self._held:
            self._held.move_to_end(version)

    def get(self, version: str) -> StripReader | None:
        """The reader of a loaded version; None for "". Raises ModelError."""
        if version and version not in self._held:
            raise ModelError(f"version {version[:12]} is not loaded in this engine")
        return self._held.get(version)

    @property
    def versions(self) -> list[str]:
        return list(self._held)


def read_together(
    chunks: Sequence[tuple[ReadsStrips | None, Sequence[NDArray[np.uint8]]]],
) -> list[list[Strings]]:
    """The readings of each chunk's strips as rows keep them; those of one model in one go.

    A chunk is its reader and its strips, uint8 (height, width) each. What it returns is in the
    same order, the most probable reading of each strip first.
    """
    found: list[list[Strings]] = [[] for _ in chunks]
    for reader in dict.fromkeys(reader for reader, strips in chunks if strips):
        assert reader is not None
        mine = [number for number, (other, _) in enumerate(chunks) if other is reader]
        strips = [strip for number in mine for strip in chunks[number][1]]
        read = iter(reader.read(strips))
        for number in mine:
            found[number] = [
                [StringReading(each.text, each.probability) for each in one]
                for one in islice(read, len(chunks[number][1]))
            ]
    if [len(each) for each in found] != [len(strips) for _, strips in chunks]:
        raise AssertionError("a reader of strips did not answer to all of them")
    return found
