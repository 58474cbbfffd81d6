"""The rights in deploy/: the same for every kind of server, and the same that compose gives."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from inkmill import names
from inkmill.backends.broker import UNACKED, UNACKED_INDEX, UNACKED_MUTEX
from tests.parts import DEPLOY, PARTS, identities, redis_users

_ACTIONS = {"s3:GetObject": "Read", "s3:PutObject": "Write", "s3:DeleteObject": "Write"}


def _compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())
    return found


@pytest.mark.parametrize("part", PARTS)
def test_seaweedfs_gives_what_the_policy_gives(part: str) -> None:
    policy = json.loads((DEPLOY / f"s3/policies/{part}.json").read_text())
    given = {
        f"{_ACTIONS[action]}:inkmill/{resource.split('/', 1)[1]}"
        for statement in policy["Statement"][1:]
        for action in _as_list(statement["Action"])
        for resource in statement["Resource"]
    }
    (mine,) = [each for each in identities() if each["name"] == f"inkmill-{part}"]
    assert given == {each for each in mine["actions"] if not each.startswith("List:")}
    lists = {each.removeprefix("List:") for each in mine["actions"]} - {*given, *mine["actions"]}
    # It lists where it reads, and nowhere else.
    read = {each.removeprefix("Read:").split("*")[0] for each in given if each.startswith("Read:")}
    assert read <= {each.removesuffix("*") for each in lists}


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_each_part_has_a_user_of_redis_and_an_identity_of_the_store() -> None:
    assert set(redis_users()) == {f"inkmill-{part}" for part in PARTS}
    assert {each["name"] for each in identities()} == {
        "inkmill",
        *(f"inkmill-{part}" for part in PARTS),
    }


def test_compose_gives_the_same_users_the_same_rights() -> None:
    config = _compose()["configs"]["redis.conf"]["content"]
    theirs = {
        name: [re.sub(r"^>.*", ">", rule) for rule in rules]
        for _, name, *rules in (
            re.sub(r"\$\{\w+:\?[^}]*\}", "", line).split()
            for line in config.splitlines()
            if line.startswith("user ")
        )
    }
    ours = {
        name: [re.sub(r"^>.*", ">", rule) for rule in rules]
        for name, rules in redis_users().items()
    }
    assert theirs == ours


def test_compose_gives_the_same_identities_the_same_actions() -> None:
    theirs = json.loads(_compose()["configs"]["s3.json"]["content"])["identities"]
    assert {each["name"]: each["actions"] for each in theirs} == {
        each["name"]: each["actions"] for each in identities()
    }
    keys = [each["credentials"][0]["secretKey"] for each in theirs]
    assert len(set(keys)) == len(keys)


def test_every_service_of_compose_uses_its_own_credentials() -> None:
    parts = {
        "worker": "worker",
        "worker-gpu": "worker",
        "producer": "producer",
        "desk": "desk",
        "trainer-cpu": "trainer",
        "trainer-gpu": "trainer",
    }
    services = _compose()["services"]
    for service, part in parts.items():
        environment = services[service]["environment"]
        assert environment["INKMILL_S3_ACCESS_KEY"] == f"inkmill-{part}", service
        assert f"S3_{part.upper()}_SECRET_KEY:?" in environment["INKMILL_S3_SECRET_KEY"], service
        user = f"redis://inkmill-{part}:${{REDIS_{part.upper()}_PASSWORD"
        assert environment["INKMILL_REDIS_URL"].startswith(user), service
        assert "MESSAGE_KEY" in environment["INKMILL_MESSAGE_KEY"], service


def test_no_user_of_redis_reaches_all_keys_or_dangerous_commands() -> None:
    for name, rules in redis_users().items():
        assert "-@all" in rules, name
        assert not {"~*", "allkeys", "+@all", "nopass", "+config", "+keys", "+flushall"} & {*rules}
        assert not [each for each in rules if each.startswith("+@")], name


def test_every_key_of_redis_has_somebody_who_may_touch_it() -> None:
    """A key that names.py gets anew must be given to the parts that use it."""
    from fnmatch import fnmatchcase

    trainings = [names.TRAIN, UNACKED, UNACKED_INDEX, UNACKED_MUTEX, names.ASIDE, names.SILENT]
    keys = [
        *(names.SWEEP_LOCK, names.EXPIRY_LOCK, names.WORKERS, names.SILENT),
        *(names.ASIDE, names.ASIDE_COUNT, f"{names.ASIDE_KEYS}x"),
        *(UNACKED, UNACKED_INDEX, UNACKED_MUTEX, *names.hints("j"), names.ended("j")),
        *names.all_queues(),
    ]
    for part, needed in (("worker", keys), ("trainer", trainings)):
        patterns = [rule[1:] for rule in redis_users()[f"inkmill-{part}"] if rule.startswith("~")]
        assert [key for key in needed if not any(fnmatchcase(key, each) for each in patterns)] == []
