"""Ray Data: read_images, then map_batches with an actor; rows as Parquet."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray

#: Images of a run: enough for some seconds at what was seen, 1,000 to 3,000 a second.
RATE = 1500


class Actor:
    """The model, loaded once; the other core reads and decodes."""

    def __init__(self) -> None:
        from bench.peers.model import DigitModel

        self._model = DigitModel()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        return {"path": batch["path"], "digit": self._model.read_grey(list(batch["image"]))}


def measure(seconds: float) -> dict[str, Any]:
    from bench.material import digit_files

    root = Path(__file__).parent.parent.parent
    files = digit_files()
    count = min(len(files), max(2000, int(RATE * seconds)))
    with tempfile.TemporaryDirectory(prefix="bench-ray-") as folder:
        images = Path(folder) / "images"
        images.mkdir()
        for number in range(count):
            (images / f"{number:08d}.png").write_bytes(files[number])
        environment = {**os.environ, "PYTHONPATH": str(root)}
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            runtime_env={"env_vars": environment},
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        started = time.perf_counter()
        (
            ray.data.read_images(str(images), mode="L", include_paths=True)
            .map_batches(Actor, batch_size=1024, concurrency=1, num_cpus=1)
            .write_parquet(str(Path(folder) / "rows"))
        )
        taken = time.perf_counter() - started
        ray.shutdown()
    return {"rate": count / taken, "items": count, "seconds": taken}


if __name__ == "__main__":
    print(json.dumps(measure(float(sys.argv[1]))))
