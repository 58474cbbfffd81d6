"""How often somebody may try to sign in: counted in Redis, for all servers together."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from inkmill import names
from inkmill.backends.broker import reachable

if TYPE_CHECKING:
    import redis

#: Failed tries for one name, and from one address, within `WINDOW_SECONDS` of the first of them.
MOST_FOR_NAME, MOST_FROM_ADDRESS = 10, 50
WINDOW_SECONDS = 15 * 60

# Counts a try, unless one of the counters is full; a window begins with its first try. Counted
# before the password is checked, so that tries at the same moment do not pass together.
# KEYS: counters. ARGV: milliseconds, the most for each. Returns milliseconds to wait, 0 for none.
_COUNT = """
local wait = 0
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i + 1]) then
    wait = math.max(wait, redis.call('PTTL', key), 1)
  end
end
if wait > 0 then return wait end
for _, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 or redis.call('PTTL', key) < 0 then
    redis.call('PEXPIRE', key, ARGV[1])
  end
end
return 0
"""


class Throttle:
    """Tries to sign in that did not succeed, by name and by address."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def begin(self, name: str, address: str) -> int:
        """Count a try; returns the seconds until it is allowed, 0 for now. Raises Unreachable."""
        most = (str(MOST_FOR_NAME), str(MOST_FROM_ADDRESS))
        with reachable():
            wait = self._client.eval(
                _COUNT, 2, *_keys(name, address), str(WINDOW_SECONDS * 1000), *most
            )
        return -(-int(wait) // 1000)

    def succeeded(self, name: str, address: str) -> None:
        """The try was right: forget those of the name, and this one of the address."""
        by_name, by_address = _keys(name, address)
        with reachable():
            self._client.delete(by_name)
            self._client.decr(by_address)


def _keys(name: str, address: str) -> tuple[str, str]:
    by_name, by_address = (
        hashlib.sha256(each.encode(errors="replace")).hexdigest() for each in (name, address)
    )
    return names.desk_tries(f"name:{by_name}"), names.desk_tries(f"from:{by_address}")
