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

# Counts a try and gives the window's end with the first. KEYS: counters. ARGV: milliseconds.
_COUNT = """
for _, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 or redis.call('PTTL', key) < 0 then
    redis.call('PEXPIRE', key, ARGV[1])
  end
end
"""


class Throttle:
    """Failed tries to sign in, by name and by address."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def wait(self, name: str, address: str) -> int:
        """Seconds until the next try is allowed; 0 for now. Raises Unreachable."""
        waits = [0]
        with reachable():
            limits = zip(_keys(name, address), (MOST_FOR_NAME, MOST_FROM_ADDRESS), strict=True)
            for key, most in limits:
                count = self._client.get(key)
                if int(count or 0) >= most:
                    waits.append(max(1, int(self._client.ttl(key))))
        return max(waits)

    def failed(self, name: str, address: str) -> None:
        """Count a failed try. Raises Unreachable."""
        with reachable():
            self._client.eval(_COUNT, 2, *_keys(name, address), str(WINDOW_SECONDS * 1000))

    def succeeded(self, name: str) -> None:
        """Forget the failed tries of a name. Raises Unreachable."""
        with reachable():
            self._client.delete(_keys(name, "")[0])


def _keys(name: str, address: str) -> tuple[str, str]:
    digests = (
        hashlib.sha256(each.encode(errors="replace")).hexdigest() for each in (name, address)
    )
    by_name, by_address = digests
    return names.desk_tries(f"name:{by_name}"), names.desk_tries(f"from:{by_address}")
