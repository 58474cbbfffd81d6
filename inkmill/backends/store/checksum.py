"""The SHA-256 that every object carries as metadata, and that each read verifies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

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
