"""The messages in the queue: each names a chunk and carries nothing else.

One for a trainer names a run in the place of the job, and chunk 0.

Celery's envelope around a message says much more: arguments, times, callbacks, time limits. None of
it is read from Redis. `Message.in_entry` takes job and chunk out of an entry and refuses whatever
is not exactly that; `Message.envelope` builds the envelope that Celery sees from these two alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from inkmill import names
from inkmill.errors import BadMessage, InkmillError
from inkmill.records import codec
from inkmill.records.codec import ChunkCount, DigestOrEmpty, Name, Within, one_of

#: Version of the message; workers refuse a newer one.
SCHEMA_VERSION = 1
#: A message has some 700 bytes; larger entries are not parsed.
MOST_BYTES = 16 * 1024

_CONTENT_TYPE, _CONTENT_ENCODING, _BODY_ENCODING = "application/json", "utf-8", "base64"


@dataclass(frozen=True, slots=True)
class Message:
    """An entry of the queue: a schema version, the job, the chunk's number, and its signature.

    ``signature`` is "" where messages are not signed (`inkmill.backends.queue.signing`).
    """

    job: Name
    chunk: ChunkCount
    schema: Annotated[int, Within(1, SCHEMA_VERSION)] = SCHEMA_VERSION
    signature: DigestOrEmpty = ""

    def encode(self) -> dict[str, Any]:
        """The message as a task's keyword arguments."""
        fields = {"schema": self.schema, "job": self.job, "chunk": self.chunk}
        return {**fields, "signature": self.signature} if self.signature else fields

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Message:
        """The message in a task's keyword arguments. Raises BadMessage, which carries them."""
        try:
            text = json.dumps(fields)
        except (TypeError, ValueError, RecursionError) as error:
            raise BadMessage(f"message is damaged: {type(error).__name__}", b"") from error
        try:
            message = codec.decode(cls, text, "message", schema=SCHEMA_VERSION)
            names.check_job(message.job)
        except InkmillError as error:
            raise BadMessage(str(error), text) from error
        return message

    @classmethod
    def in_entry(cls, entry: bytes, queue: str = "") -> Message:
        """The message in an entry of a queue, as Celery sends it; without ``queue``, of chunks.

        Only the body counts. What else the envelope asks for (arguments by position, a time to wait
        for or to expire at, callbacks, time limits, retries, stamps) is not read at all. Raises
        BadMessage, which carries the entry.
        """
        if len(entry) > MOST_BYTES:
            raise BadMessage(f"{len(entry)} bytes: a message has at most {MOST_BYTES}", entry)
        try:
            envelope = json.loads(entry)
            coding = (
                envelope["content-type"],
                envelope["content-encoding"],
                envelope["properties"]["body_encoding"],
            )
            if coding != (_CONTENT_TYPE, _CONTENT_ENCODING, _BODY_ENCODING):
                raise BadMessage(f"its body is coded as {codec.shorten(coding)}", entry)
            if envelope["headers"]["task"] != (expected := names.task_of(queue)):
                shown = codec.shorten(envelope["headers"]["task"])
                raise BadMessage(f"a message for {shown}, not for {expected}", entry)
            arguments, fields, options = json.loads(
                base64.b64decode(envelope["body"], validate=True)
            )
        except (ValueError, LookupError, TypeError, RecursionError, binascii.Error) as error:
            reason = f"{type(error).__name__}: {codec.shorten(str(error))}"
            raise BadMessage(f"not a Celery message ({reason})", entry) from error
        if arguments != [] or not isinstance(fields, dict) or not isinstance(options, dict):
            raise BadMessage("its body is not [[], {schema, job, chunk}, {...}]", entry)
        return cls.decode(fields)

    def envelope(self, queue: str, tag: str) -> dict[str, Any]:
        """What Celery sees of the message that was taken from a queue; ``tag`` is the delivery's.

        Every header that Celery acts on has one fixed value.
        """
        task = names.task_id(self.job, self.chunk)
        body = json.dumps([[], self.encode(), {}]).encode()
        return {
            "body": base64.b64encode(body).decode(),
            "content-type": _CONTENT_TYPE,
            "content-encoding": _CONTENT_ENCODING,
            "headers": {
                "lang": "py",
                "task": names.task_of(queue),
                "id": task,
                "root_id": task,
                "parent_id": None,
                "group": None,
                "eta": None,
                "expires": None,
                "retries": 0,
                "timelimit": [None, None],
                "ignore_result": True,
            },
            "properties": {
                "correlation_id": task,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "delivery_mode": 2,
                "delivery_tag": tag,
                "priority": 0,
                "body_encoding": _BODY_ENCODING,
            },
        }

    def entry(self, queue: str, tag: str) -> bytes:
        """The message as an entry of a queue."""
        return json.dumps(self.envelope(queue, tag)).encode()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in the hands of a worker, as Redis records it until it is acknowledged.

    ``queue`` is where it came from and goes back to; ``worker`` the id of the worker's process
    (`inkmill.backends.queue.workers.Presence.process`). ``signature`` is the message's: one that
    goes back is not signed anew, since the record may be somebody else's.
    """

    job: Name
    chunk: ChunkCount
    queue: Annotated[str, one_of(map(re.escape, names.all_queues()))]
    worker: Name
    schema: Annotated[int, Within(1, SCHEMA_VERSION)] = SCHEMA_VERSION
    signature: DigestOrEmpty = ""

    @property
    def task(self) -> str:
        """The task id of the message."""
        return names.task_id(self.job, self.chunk)

    @property
    def message(self) -> Message:
        """The message that was delivered."""
        return Message(self.job, self.chunk, signature=self.signature)

    def encode(self) -> bytes:
        """The record as JSON."""
        return codec.encode(self, "the record of a delivery")

    @classmethod
    def decode(cls, data: bytes) -> Delivery:
        """The delivery in a record. Raises BadMessage, which carries it."""
        if len(data) > MOST_BYTES:
            raise BadMessage(f"{len(data)} bytes: a record has at most {MOST_BYTES}", data)
        try:
            found = codec.decode(cls, data, "the record of a delivery", schema=SCHEMA_VERSION)
            names.check_job(found.job)
        except InkmillError as error:
            raise BadMessage(str(error), data) from error
        return found
