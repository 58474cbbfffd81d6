"""Passwords, hashed with argon2id at the parameters of RFC 9106 (argon2-cffi's defaults)."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

from inkmill.errors import UsageError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

#: NIST SP 800-63B, section 3.1.1.2, asks for at least 8 characters where a second factor is used,
#: and to allow at least 64. What exceeds the maximum would only cost time.
LEAST, MOST = 8, 1024
#: Each hashing takes 64 MiB: so many at once, however many sign in.
_AT_ONCE = threading.BoundedSemaphore(2)


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _nobodys() -> str:
    return _hasher().hash("nobody has this password")


def hash_new(password: str, name: str) -> str:
    """The hash of a new password of the person ``name``. Raises UsageError if it is too weak."""
    if not LEAST <= len(password) <= MOST:
        raise UsageError(
            f"the password must have {LEAST} to {MOST} characters, not {len(password)}: choose "
            "another one"
        )
    if password.lower() == name.lower() or len(set(password)) == 1:
        raise UsageError("the password is too easy to guess: choose another one")
    with _AT_ONCE:
        return _hasher().hash(password)


def verify(hashed: str, password: str) -> bool:
    """Whether the password fits the hash; the same time is spent where there is no hash."""
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(password) > MOST:
        return False
    try:
        with _AT_ONCE:
            return _hasher().verify(hashed or _nobodys(), password) and bool(hashed)
    except (VerificationError, InvalidHashError):
        return False
