"""A worker's requests to an engine and its answers: a chunk, its model, its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from inkmill.codes import Code, Status
from inkmill.errors import Corrupt, ModelError
from inkmill.records import rows
from inkmill.records.codec import MOST_IN_CHUNK
from inkmill.records.jobs import ANY_PRECISION
from inkmill.worker.link.frames import BadFrame, Frame

#: What a model reads: crops of digits, or numbers without cells. An engine keeps some of each.
DIGITS, STRIPS = "digits", "strips"
#: An engine's stages of a chunk.
STAGES = DECODE, LOCATE, CUT, PREDICT, RULES = "decode", "locate", "cut", "predict", "rules"
#: Stages of a traced chunk: far more than an engine keeps.
_MOST_TIMES = 10_000
#: Characters of a refusal that are passed on.
_LONGEST_WORDS = 2000


@dataclass(frozen=True, slots=True)
class ModelPayload:
    """A model version's files as bytes, on their way from the store to an engine.

    ``kind`` is what the model reads: `DIGITS` or `STRIPS`.
    """

    version: str
    manifest: bytes
    weights: bytes
    golden: bytes
    kind: str = DIGITS

    @property
    def parts(self) -> list[bytes]:
        return [self.manifest, self.weights, self.golden]


class StageTime(NamedTuple):
    """When an engine was in a stage of a chunk: ``began`` and ``ended`` in nanoseconds since the
    epoch, ``item`` the number of the page that it had in hand, or NO_ITEM."""

    stage: str
    item: int
    began: int
    ended: int


@dataclass(frozen=True, slots=True)
class Task:
    """A chunk to be read: its bytes, the images that it only names, and the model.

    ``blobs`` are images by key; ``verdicts`` are items that are not to be read: position -> code
    and message. ``single`` says that the job has no other chunk. ``strips_version`` is the model
    that reads numbers without cells, "" where the forms have none. ``traced`` asks for the times
    of the stages.
    """

    job: str
    chunk: int
    data: bytes
    count: int
    version: str
    form: str = ""
    precision: str = ANY_PRECISION
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    verdicts: Mapping[int, tuple[Code, str]] = field(default_factory=dict)
    single: bool = False
    strips_version: str = ""
    traced: bool = False

    @property
    def versions(self) -> list[str]:
        """All model versions that the chunk needs."""
        return [each for each in (self.version, self.strips_version) if each]

    def head(
        self, verdicts: Mapping[int, tuple[Code, str]], only: Sequence[int] | None
    ) -> dict[str, Any]:
        """The request's header; ``only`` limits it to the items at these positions."""
        return {
            "form": self.form,
            "strips_version": self.strips_version,
            "precision": self.precision,
            "single": self.single,
            "traced": self.traced,
            "blobs": list(self.blobs),
            "verdicts": {
                str(position): [str(code), words] for position, (code, words) in verdicts.items()
            },
            "only": None if only is None else list(only),
        }

    @property
    def parts(self) -> list[bytes]:
        """The request's binary parts."""
        return [self.data, *self.blobs.values()]


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """A chunk's rows as a result object, with their counts.

    ``pictures`` are JPEGs of pages that could not be located, by item number; ``given_up`` are the
    items that engines or workers died of: item -> code and words. ``stages`` are the seconds in
    each stage, ``times`` those stages of a traced chunk one by one. ``batches`` are the crops in
    each forward pass that this answer is the first of.
    """

    data: bytes
    rows: int
    statuses: Mapping[str, int]
    codes: Mapping[str, int]
    pictures: Mapping[int, bytes]
    crops: int = 0
    seconds: float = 0.0
    given_up: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    times: Sequence[StageTime] = ()
    batches: Sequence[int] = ()

    @classmethod
    def of(cls, answer: Frame) -> ChunkResult:
        """The result in an engine's answer. Raises Corrupt or ModelError where it refused, and
        BadFrame for what is no answer: the engine may be in a stranger's hands."""
        head = answer.head
        try:
            if head["op"] == "refused":
                refusal = Corrupt if head["kind"] == "corrupt" else ModelError
                raise refusal(str(head["message"])[:_LONGEST_WORDS])
            found = cls._of_rows(head, answer.parts)
            sound = found._is_sound()
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BadFrame(f"{type(error).__name__} in an answer") from error
        if not sound:
            raise BadFrame("an answer whose counts are none")
        return found

    @classmethod
    def _of_rows(cls, head: Mapping[str, Any], parts: Sequence[bytes]) -> ChunkResult:
        items = [int(item) for item in head["pictures"]]
        return cls(
            bytes(parts[0]),
            head["rows"],
            head["statuses"],
            head["codes"],
            dict(zip(items, map(bytes, parts[1:]), strict=True)),
            int(head["crops"]),
            float(head["seconds"]),
            {int(item): (str(Code(c)), str(w)) for item, (c, w) in head["given_up"].items()},
            {str(stage): float(took) for stage, took in head.get("stages", {}).items()},
            [StageTime(*each) for each in head.get("times", ())],
            [int(each) for each in head.get("batches", ())],
        )

    def _is_sound(self) -> bool:
        """Whether the figures are figures, and those of as many rows as there are.

        They are counted, and shown as metrics and in traces.
        """
        counts = [self.rows, *self.statuses.values(), *self.codes.values()]
        seconds = [self.seconds, *self.stages.values()]
        names = {*self.stages, *(each.stage for each in self.times)}
        return (
            all(type(each) is int and 0 <= each <= MOST_IN_CHUNK for each in counts)
            and self.statuses.keys() <= set(map(str, Status))
            and self.codes.keys() <= set(map(str, Code))
            and sum(self.statuses.values()) == self.rows
            and min([0, self.crops, *self.pictures, *self.given_up, *self.batches]) == 0
            and all(0 <= each < math.inf for each in seconds)
            and names <= set(STAGES)
            and len(self.times) <= _MOST_TIMES
            and len(self.batches) <= MOST_IN_CHUNK
            and all(type(each) is int for time in self.times for each in time[1:])
        )

    @classmethod
    def join(cls, parts: Sequence[ChunkResult]) -> ChunkResult:
        """The result of a chunk that was read item by item."""
        together = [row for part in parts for row in rows.decode(part.data)]
        counts = rows.count(together)
        return cls(
            rows.encode(together),
            counts.rows,
            counts.statuses,
            counts.codes,
            {item: picture for part in parts for item, picture in part.pictures.items()},
            sum(part.crops for part in parts),
            sum(part.seconds for part in parts),
            {item: why for part in parts for item, why in part.given_up.items()},
            _together(parts),
            [time for part in parts for time in part.times],
            [batch for part in parts for batch in part.batches],
        )


def _together(parts: Sequence[ChunkResult]) -> dict[str, float]:
    """The seconds in each stage of all parts."""
    seconds: dict[str, float] = {}
    for part in parts:
        for stage, took in part.stages.items():
            seconds[stage] = seconds.get(stage, 0.0) + took
    return seconds
