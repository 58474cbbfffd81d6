"""What each read verifies: an object's size, and the SHA-256 that it carries as metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from inkmill import names
from inkmill.errors import Corrupt

#: The name of the metadata.
DIGEST = "sha256"


def verify(key: str, data: bytes, metadata: Mapping[str, str]) -> None:
    """Raise Corrupt, which carries the bytes, if they do not match the checksum in ``metadata``."""
    expected = metadata.get(DIGEST)
    if expected is not None and hashlib.sha256(data).hexdigest() != expected:
        raise Corrupt(
            f"object {key}: {len(data)} bytes that do not match their SHA-256 {expected[:12]}…: "
            "the object was damaged in the store or on its way",
            data,
        )


def too_large(key: str, size: int) -> Corrupt:
    """The error for an object of so many bytes, which Inkmill did not write and nobody reads."""
    return Corrupt(
        f"object {key} is damaged: it has {size} bytes, of which at most {names.most_bytes(key)} "
        "are read"
    )
