"""What is in Redis and is not ours: set aside, so that nobody stumbles over it again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from inkmill import names
from inkmill.backends.broker import reachable
from inkmill.backends.queue.connection import RedisConnection, as_number
from inkmill.records.codec import MOST_ITEMS

if TYPE_CHECKING:
    import redis

log = logging.getLogger(__name__)

#: Entries kept in the list of those set aside, and bytes kept of each.
MOST_ENTRIES, MOST_BYTES = 1000, 4096
#: Characters of a reason on its line in the log.
_REASON = 300

# Renames keys that hold another type than they should. KEYS: keys. ARGV: their types, a prefix.
_MOVE = """
local moved = {}
for i, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)['ok']
  if kind ~= 'none' and kind ~= ARGV[i] then
    redis.call('RENAME', key, ARGV[#ARGV] .. key)
    moved[#moved + 1] = key .. ' (' .. kind .. ')'
  end
end
return moved
"""


def set_aside(client: redis.Redis, entry: bytes, source: str, reason: object) -> None:
    """Keep an entry of ``source`` that is not ours, count it, and say so in the log.

    A Redis that refuses to keep it, because it is full, costs only the evidence.
    """
    import redis

    log.error("an entry of %s was set aside in %s: %s", source, names.ASIDE, str(reason)[:_REASON])
    try:
        pipe = client.pipeline(transaction=False)
        pipe.incr(names.ASIDE_COUNT)
        pipe.lpush(names.ASIDE, entry[:MOST_BYTES])
        pipe.ltrim(names.ASIDE, 0, MOST_ENTRIES - 1)
        pipe.execute()
    except redis.exceptions.ResponseError as error:
        log.warning("it could not be kept: %s", error)


def move_aside(client: redis.Redis, types: Mapping[str, str]) -> bool:
    """Rename keys that do not hold the type that they should; whether there were any.

    ``types`` are key -> type, as Redis names it. Such a key would fail every command on it.
    """
    script: Any = client.register_script(_MOVE)
    moved = script(list(types), [*types.values(), names.ASIDE_KEYS])
    for each in moved:
        text = each.decode(errors="replace") if isinstance(each, bytes) else each
        log.error(
            "a key of another type was renamed, it begins with %s: %s", names.ASIDE_KEYS, text
        )
    return bool(moved)


class Aside(RedisConnection):
    """How much was set aside."""

    def aside(self) -> int:
        """Entries that were set aside, and are still kept."""
        with reachable():
            return int(self.client.llen(names.ASIDE))

    def ever_aside(self) -> int:
        """Entries that were set aside since this Redis was set up. Raises BadHint."""
        with reachable():
            found: Any = self.client.get(names.ASIDE_COUNT)
        return as_number(found, MOST_ITEMS) if found is not None else 0
