"""This host: its processor, and how busy others keep it."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

#: In /proc/stat: which of the first eight columns are time in which a processor did nothing.
_COLUMNS, _IDLE = 8, (3, 4)


#: Between the names of a device and of the processor that feeds it.
_BESIDE = " beside "


def device_of(words: str) -> tuple[str, str]:
    """The device in words of `host`, "" for none, and the processor."""
    device, _, processor = words.rpartition(_BESIDE)
    return device, processor


def host(device: str = "") -> str:
    """The processor and how many cores of it there are: what decides about speed; before them the
    device that TensorFlow computes on, if that is another."""
    processor = f"{_processor()}, {os.cpu_count()} cores"
    return f"{device}{_BESIDE}{processor}" if device else processor


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class OtherWork:
    """How much of the host's processors others use: other processes, and other virtual machines
    where the hypervisor tells (steal time)."""

    def __init__(self) -> None:
        self._last = self._now()

    def share(self) -> float:
        """Their share of all processors' time since the last call, 0 to 1.

        In a container it is that of the whole host. Without /proc/stat it is estimated from the
        load average of the last minute.
        """
        before, self._last = self._last, self._now()
        cores = os.cpu_count() or 1
        if before is None or self._last is None:
            return min(1.0, max(0.0, (os.getloadavg()[0] - 1) / cores))
        (all_before, idle_before, own_before), (all_now, idle_now, own_now) = before, self._last
        passed = all_now - all_before
        if passed <= 0:
            return 0.0
        busy = passed - (idle_now - idle_before)
        return min(1.0, max(0.0, (busy - (own_now - own_before)) / passed))

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Seconds since the start of all processors together, of these idle, and our own."""
        try:
            line = Path("/proc/stat").read_text().partition("\n")[0]
            ticks = [int(each) for each in line.split()[1 : 1 + _COLUMNS]]
            idle = sum(ticks[each] for each in _IDLE)
            tick = os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return None
        return sum(ticks) / tick, idle / tick, time.process_time()
