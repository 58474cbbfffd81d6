"""The parts of a cluster, each with the rights that the files in deploy/ give it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from inkmill.backends.broker import connect
from inkmill.local.servers import Stack
from inkmill.settings import Settings

DEPLOY = Path(__file__).parents[1] / "deploy"
PARTS = ("producer", "worker", "metrics", "desk", "trainer")
#: With which those that send or take messages sign and check them.
MESSAGE_KEY = "5e" * 32


def redis_users() -> dict[str, list[str]]:
    """User -> rules, as deploy/redis/users.conf has them."""
    text = (DEPLOY / "redis/users.conf").read_text()
    lines = (line.split() for line in text.splitlines() if line.startswith("user "))
    return {name: rules for _, name, *rules in lines}


def identities() -> list[dict[str, Any]]:
    """Who may do what at SeaweedFS, as deploy/s3/seaweedfs.json has it."""
    found: list[dict[str, Any]] = json.loads((DEPLOY / "s3/seaweedfs.json").read_text())[
        "identities"
    ]
    return found


class PartedStack(Stack):
    """Servers that know every part, with the parts' names as secrets."""

    def _identities(self) -> list[dict[str, Any]]:
        parts = [each for each in identities() if each["name"] != "inkmill"]
        return [*super()._identities(), *parts]

    def __enter__(self) -> PartedStack:
        super().__enter__()
        return self

    def admit(self) -> None:
        """Make the users of Redis."""
        client: Any = connect(self.settings)
        for name, rules in redis_users().items():
            client.execute_command("ACL", "SETUSER", name, *rules)

    def of(self, part: str) -> Settings:
        """The settings of a part: the servers, and its own credentials."""
        place = urlsplit(self.settings.redis_url)
        user = f"inkmill-{part}:PASSWORD_OF_{part.upper()}"
        return self.settings.model_copy(
            update={
                "redis_url": f"redis://{user}@{place.hostname}:{place.port}{place.path}",
                "s3_access_key": f"inkmill-{part}",
                "s3_secret_key": SecretStr(f"SECRET_OF_{part.upper()}"),
                "reconcile_interval": 1.0,
                "model_poll_interval": 1.0,
                "engines": 1,
                "message_key": SecretStr(MESSAGE_KEY),
            }
        )

    def refusals(self) -> list[str]:
        """What Redis refused since the last call: user and command or key."""
        client = connect(self.settings)
        found: Any = client.acl_log()
        client.acl_log_reset()
        entries = ({str(key): str(value) for key, value in each.items()} for each in found)
        said = [f"{each['username']} {each['reason']} {each['object']}" for each in entries]
        # redis-py says who it is, and does without where that is refused.
        return [each for each in said if not re.search(r"command client(\|setinfo)?$", each)]
