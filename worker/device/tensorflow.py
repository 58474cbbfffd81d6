"""A device of TensorFlow's: a GPU, or the processors."""

from __future__ import annotations

import logging
from pathlib import Path

import tensorflow as tf

from inkmill.errors import ModelError
from inkmill.models import autotune
from inkmill.models.manifest import Manifest
from inkmill.models.predictor import BATCH_SHAPES, CALL_COST, Predictor
from inkmill.records.jobs import ANY_PRECISION

log = logging.getLogger(__name__)

#: A GPU computes 4,096 crops in little more time than 1,024.
_LARGE_SHAPES = (*BATCH_SHAPES, 4096)
#: And a call to it costs as much as some hundred crops: one padded batch is better than several.
_CALL_COST = 500


class Device:
    """A device that this process computes on, from its first operation on.

    ``name`` is "GPU:0", or "CPU:0" for processors; ``threads`` are those of TensorFlow on
    processors. Nothing may have run in this process before. Raises ModelError where there is no
    such device.
    """

    def __init__(self, name: str, threads: int, cache: Path) -> None:
        kind, _, number = name.partition(":")
        self._threads = threads
        self._cache = cache
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        # The rows say float32: its products are not to have TF32's 10 bits of mantissa.
        tf.config.experimental.enable_tensor_float_32_execution(False)
        is_gpu = kind == "GPU"
        self.words = self._open_gpu(int(number)) if is_gpu else self._open_cpu(int(number))
        self.shapes = _LARGE_SHAPES if is_gpu else BATCH_SHAPES
        self._call_cost = _CALL_COST if is_gpu else CALL_COST
        # On processors, what engines measured holds here as well.
        self._measured_as = self.words if is_gpu else ""
        # Opens the device, which holds Python up for seconds: before "ready", so that nobody takes
        # that for a process that hangs.
        with tf.device(self._name):
            tf.zeros(1)

    def _open_gpu(self, number: int) -> str:
        found = tf.config.list_physical_devices("GPU")
        if number >= len(found):
            raise ModelError(f"there is no GPU:{number}: TensorFlow sees {len(found)} GPUs")
        tf.config.set_visible_devices([found[number]], "GPU")
        # Memory as it is needed: another process may have its own use for the GPU.
        tf.config.experimental.set_memory_growth(found[number], True)
        self._name = "GPU:0"  # of those that are visible
        return gpu_name(found[number])

    def _open_cpu(self, number: int) -> str:
        self._name = f"CPU:{number}"
        (found,) = tf.config.list_physical_devices("CPU")
        if number:
            share = tf.config.LogicalDeviceConfiguration()
            tf.config.set_logical_device_configuration(found, [share] * (number + 1))
        return self._name

    def open_model(
        self, manifest: Manifest, weights: bytes, golden: bytes, precision: str
    ) -> Predictor:
        """See `inkmill.worker.device.models.OpenModel`."""
        with tf.device(self._name):
            if precision != ANY_PRECISION:
                return self._checked(manifest, weights, golden, precision)
            fastest = autotune.precision_for(
                manifest, weights, golden, self._cache, self._threads, device=self._measured_as
            )
            try:
                return self._checked(manifest, weights, golden, fastest)
            except ModelError as error:
                if fastest == autotune.FLOAT32:
                    raise
                log.warning("%s; it runs in float32 instead", error)
                return self._checked(manifest, weights, golden, autotune.FLOAT32)

    def _checked(
        self, manifest: Manifest, weights: bytes, golden: bytes, precision: str
    ) -> Predictor:
        predictor = Predictor(
            manifest,
            weights,
            precision=precision,
            threads=self._threads,
            shapes=self.shapes,
            call_cost=self._call_cost,
            golden=golden,
        )
        predictor.check(golden)
        return predictor


def gpu_name(device: object) -> str:
    """What the maker calls a GPU."""
    details = tf.config.experimental.get_device_details(device)
    return str(details.get("device_name", "GPU of an unknown model"))
