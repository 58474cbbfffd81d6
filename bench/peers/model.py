"""The same work on a batch of PNG files for every peer: Inkmill's decoding and model."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from inkmill.forms.cut.normalise import normalise
from inkmill.forms.intake import decode_page
from inkmill.models import autotune, pretrained
from inkmill.models.predictor import Predictor
from inkmill.settings import Settings


class DigitModel:
    """Reads batches of PNG files, in the precision that is fastest on this host."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        files = pretrained.load()
        precision = autotune.precision_for(
            files.manifest, files.weights, files.golden, Settings().cache_dir, 1
        )
        self._predictor = Predictor(
            files.manifest, files.weights, precision=precision, threads=1, golden=files.golden
        )

    def read(self, files: Sequence[bytes]) -> list[str]:
        """The digit of each file."""
        return self.read_grey([decode_page(data).grey for data in files])

    def read_grey(self, images: Sequence[np.ndarray]) -> list[str]:
        """The digit of each grey image, uint8 (height, width)."""
        crops = [normalise(np.ascontiguousarray(grey)) for grey in images]
        blank = np.zeros((28, 28), np.uint8)
        probabilities = self._predictor.predict(
            np.stack([blank if crop is None else crop for crop in crops])
        )
        return [str(each) for each in probabilities.argmax(axis=1)]
