"""The devices and precision of a training, chosen once and described in words."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from inkmill.errors import UsageError
from inkmill.models.architectures import weight_shapes
from inkmill.models.network import Network
from inkmill.trainer.config import Config

#: Without one of these processor flags bfloat16 is emulated, and never faster.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True, slots=True)
class Devices:
    """The strategy, the layers' precision, and the choice in words."""

    strategy: Any
    precision: str
    words: str


def choose(config: Config, devices: Sequence[str] = ()) -> Devices:
    """Choose devices and precision.

    ``devices`` are names like "GPU:0" or "CPU:0"; by default all GPUs are used, else the CPU.
    Raises UsageError for a device that does not exist.
    """
    if config.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    for gpu in tf.config.list_physical_devices("GPU"):
        # Allocate memory as needed: others may train on this GPU too.
        tf.config.experimental.set_memory_growth(gpu, True)
    chosen = _named(devices) if devices else _found()
    precision, why = _precision(config, chosen[0].startswith("GPU"))
    if len(chosen) > 1:
        if config.training.batch % len(chosen):
            raise UsageError(
                f"training.batch {config.training.batch} cannot be divided among {len(chosen)} "
                "devices: use a multiple"
            )
        # NCCL sums over GPUs; CPU devices sum on one of them.
        joined = None if chosen[0].startswith("GPU") else tf.distribute.ReductionToOneDevice()
        strategy = tf.distribute.MirroredStrategy(chosen, cross_device_ops=joined)
        place = f"on {len(chosen)} devices ({', '.join(chosen)}), each with its share of a batch"
    else:
        strategy = tf.distribute.OneDeviceStrategy(chosen[0])
        place = f"on {chosen[0]}" if devices else _described(chosen[0])
    return Devices(strategy, precision, f"training {place}, in {precision}: {why}")


def _found() -> list[str]:
    gpus = tf.config.list_logical_devices("GPU")
    return [_short(gpu.name) for gpu in gpus] or ["CPU:0"]


def _named(devices: Sequence[str]) -> list[str]:
    there = [_short(device.name) for device in tf.config.list_logical_devices()]
    wanted = [device.upper() for device in devices]
    if missing := [device for device in wanted if device not in there]:
        raise UsageError(f"there is no device {', '.join(missing)}: use some of {', '.join(there)}")
    return wanted


def _short(name: str) -> str:
    return name.removeprefix("/device:").upper()


def _described(device: str) -> str:
    if device.startswith("GPU"):
        details = tf.config.experimental.get_device_details(
            tf.config.list_physical_devices("GPU")[0]
        )
        return f"on one GPU ({details.get('device_name', 'unknown model')})"
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return f"on the CPU ({f'{threads} threads' if threads else 'all cores'}; no GPU was found)"


def _precision(config: Config, gpu: bool) -> tuple[str, str]:
    asked = config.training.precision
    if config.training.deterministic:
        return "float32", "deterministic runs compute in float32"
    if asked != "auto":
        return asked, "as the config says"
    if gpu:
        return "float16", "mixed precision, with a loss scale"
    if not _cpu_flags() & _BFLOAT16_FLAGS:
        return "float32", "this processor has no bfloat16"
    times = {name: _time(config, name) for name in ("float32", "bfloat16")}
    measured = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in times.items())
    fastest = min(times, key=times.__getitem__)
    return fastest, f"the faster one, measured ({measured} a step)"


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return set(line.split())


def _time(config: Config, precision: str, repeats: int = 3) -> float:
    """Seconds of a forward and backward pass: the best of a few."""
    layers = config.network.layers
    shapes = weight_shapes(layers, config.input_size, len(config.classes))
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    network = Network(layers, weights, dtype=precision, stored="float32")
    side = config.input_size
    width = 4 * side if config.reads_strips else side
    crops = tf.zeros((config.training.batch, side, width), tf.uint8)

    def run() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network.logits(crops))
        return tape.gradient(loss, list(network.variables.values()))

    compiled = tf.function(run, autograph=False)
    compiled()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        compiled()[0].numpy()
        times.append(time.perf_counter() - start)
    return min(times)
