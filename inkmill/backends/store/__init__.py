"""Object storage: a protocol, S3 through boto3, and an in-memory twin for tests.

Both implementations keep one contract (tests/contracts.py): whole objects, strongly consistent,
with conditional writes and deletes. Every object carries the SHA-256 of its bytes as metadata,
which each read verifies, so that a flipped bit or a half-done upload is named and never used.
Bytes and metadata flow through; what they mean is for others. Any room may open a store, except
the engine (worker/engine), which reads strangers' bytes and holds no credentials. boto3 is imported
when a client is made.
"""

from inkmill.backends.store.memory import MemoryStore
from inkmill.backends.store.protocol import ObjectInfo, Store, Stored, delete_prefix, exists
from inkmill.backends.store.s3 import S3Store, open_store, s3_client

__all__ = [
    "MemoryStore",
    "ObjectInfo",
    "S3Store",
    "Store",
    "Stored",
    "delete_prefix",
    "exists",
    "open_store",
    "s3_client",
]
