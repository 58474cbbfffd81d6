"""What a worker and its engines say to each other. Runs in both processes.

``frames`` are the messages (JSON and bytes, no pickle), ``task`` a chunk to be read and its result,
``config`` what an engine is started with, ``position`` the few numbers in shared memory that tell
which item an engine has in hand. Imports nothing else of the worker.
"""

from inkmill.worker.link.config import REFUSED_SECONDS, DeviceConfig, EngineConfig
from inkmill.worker.link.crops import ABSENT, CropReadings, CropRequest
from inkmill.worker.link.door import Door
from inkmill.worker.link.frames import BadFrame, Frame, Link, receive, send
from inkmill.worker.link.position import EVERY_REQUEST, NO_ITEM, Position, SharedPosition
from inkmill.worker.link.pulse import Beat, Pulse
from inkmill.worker.link.task import (
    CUT,
    DECODE,
    DIGITS,
    LOCATE,
    PREDICT,
    RULES,
    STRIPS,
    ChunkResult,
    ModelPayload,
    StageTime,
    Task,
)

__all__ = [
    "ABSENT",
    "CUT",
    "DECODE",
    "DIGITS",
    "EVERY_REQUEST",
    "LOCATE",
    "NO_ITEM",
    "PREDICT",
    "REFUSED_SECONDS",
    "RULES",
    "STRIPS",
    "BadFrame",
    "Beat",
    "ChunkResult",
    "CropReadings",
    "CropRequest",
    "DeviceConfig",
    "Door",
    "EngineConfig",
    "Frame",
    "Link",
    "ModelPayload",
    "Position",
    "Pulse",
    "SharedPosition",
    "StageTime",
    "Task",
    "receive",
    "send",
]
