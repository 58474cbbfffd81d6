"""The GPUs that a worker uses: by the setting, and by what TensorFlow sees in a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from inkmill.settings import Settings
from inkmill.worker.pool.environment import GPUS, device_environment

#: What NVIDIA's driver puts there, and what it gives to Linux under Windows.
_FILES = ("dev/nvidia[0-9]*", "usr/lib/wsl/lib/libcuda.so*")
_ROOT = Path("/")
#: Importing TensorFlow and asking the driver may take so long on a busy host (seconds).
_SECONDS = 120.0
#: For a GPU that TensorFlow does not see, and for a setting that asks for more than there are.
_UNSEEN = "pip install 'inkmill[gpu]' where the workers run, or set INKMILL_GPU=off"
_TOO_MANY = "lower INKMILL_GPU to the number of GPUs here, or set INKMILL_GPU=off"


@dataclass(frozen=True, slots=True)
class Gpus:
    """What their maker calls those that are used.

    ``trouble`` says why there are fewer than the host or the setting promises, ``remedy`` what to
    do about it; both are empty where nothing is missing. ``named`` is the number that the setting
    gives, if it gives one.
    """

    names: tuple[str, ...] = ()
    trouble: str = ""
    remedy: str = ""
    named: int = 0

    @property
    def devices(self) -> tuple[str, ...]:
        """Their names for `EnginePool`, with those that the setting names and that are not there:
        they are missed as if they had been lost, until they are found."""
        return tuple(f"GPU:{number}" for number in range(max(self.named, len(self.names))))


def gpus(settings: Settings) -> Gpus:
    """Those that a worker with these settings uses on this host.

    Without a GPU's driver nothing is started to find that out.
    """
    hidden = os.environ.get(GPUS, "0") in ("", "-1")
    if settings.gpu == "off" or (settings.gpu == "auto" and (hidden or not _has_driver())):
        return Gpus()
    seen, why = _seen()
    if settings.gpu == "auto":
        if seen:
            return Gpus(seen)
        return Gpus((), f"TensorFlow does not see this host's GPU{why}", _UNSEEN)
    if len(seen) >= settings.gpu:
        return Gpus(seen[: settings.gpu], named=settings.gpu)
    trouble = f"INKMILL_GPU is {settings.gpu}, but TensorFlow sees {len(seen)}{why}"
    return Gpus(seen, trouble, _TOO_MANY if seen else _UNSEEN, named=settings.gpu)


def _has_driver() -> bool:
    return any(next(_ROOT.glob(name), None) for name in _FILES)


def _seen() -> tuple[tuple[str, ...], str]:
    """The names of the GPUs that TensorFlow sees, and why it could not be asked."""
    command = [sys.executable, "-m", "inkmill.worker.device.detect"]
    environment = device_environment(os.environ, 1, "GPU")
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        return tuple(map(str, json.loads(done.stdout.splitlines()[-1]))), ""
    except subprocess.TimeoutExpired:
        return (), f" (it did not answer within {_SECONDS:.0f} s)"
    except OSError as error:
        return (), f" (it cannot be asked: {error.strerror or error})"
    except (IndexError, ValueError):
        return (), f" ({(done.stderr.strip().splitlines() or ['it said nothing'])[-1]})"
