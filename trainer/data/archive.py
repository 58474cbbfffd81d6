"""NumPy archives (.npz) as training data, opened without running anything that they contain."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError


def open_archive(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file by name. Raises UsageError if a wanted one is missing."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: cannot be read as .npz ({error})") from None
    if missing := sorted(set(wanted) - set(arrays)):
        raise UsageError(f"{path}: has no array {', '.join(missing)}")
    return arrays
