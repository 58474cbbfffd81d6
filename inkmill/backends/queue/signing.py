"""Signatures of messages: who can write to Redis, but has no key, can have nothing read.

A signature is the HMAC-SHA256 (RFC 2104) of what a message says: job and chunk. It is optional, and
without a key, nothing is signed or checked. The same message sent again is as valid as before; that
does no harm, since a chunk has one result however often it is read.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from inkmill.errors import BadMessage
from inkmill.records.messages import Message

if TYPE_CHECKING:
    from inkmill.settings import Settings

#: What is signed begins with this, so that no signature of another kind passes for one of these.
_PURPOSE = "inkmill message 1"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with the first of its keys, and accepts the signatures of all of them.

    ``keys`` are never shown. A signer without keys signs nothing and accepts everything.
    """

    keys: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Signer:
        """The signer with the keys of the settings."""
        keys = (settings.message_key, settings.message_key_accepted)
        return cls(tuple(key.get_secret_value().encode() for key in keys if key is not None))

    def sign(self, message: Message) -> Message:
        """The message with its signature."""
        return replace(message, signature=_mac(self.keys[0], message)) if self.keys else message

    def check(self, message: Message) -> Message:
        """The message, if its signature is right. Raises BadMessage."""
        if not self.keys:
            return message
        if not message.signature:
            raise BadMessage("it is not signed: its sender has no INKMILL_MESSAGE_KEY", b"")
        # All keys, and in constant time: how long it takes tells nothing.
        right = [hmac.compare_digest(_mac(key, message), message.signature) for key in self.keys]
        if not any(right):
            raise BadMessage(
                "its signature is wrong: its sender has another INKMILL_MESSAGE_KEY", b""
            )
        return message


def _mac(key: bytes, message: Message) -> str:
    said = "\0".join((_PURPOSE, message.job, str(message.chunk), str(message.schema)))
    return hmac.new(key, said.encode(), hashlib.sha256).hexdigest()
