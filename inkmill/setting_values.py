"""Types of settings: what a value must be, and what it becomes.

Used by `inkmill.settings`; a value that cannot be used is a ValueError, in which the command line
names where it stands.
"""

from __future__ import annotations

import base64
import ipaddress
import shlex
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from inkmill.errors import UsageError
from inkmill.monitor import parse_address
from inkmill.names import PRIORITIES, check_model
from inkmill.urls import check_url, origin

#: Begins the key of a signature, as the Standard Webhooks specification has it.
SECRET_PREFIX = "whsec_"  # noqa: S105  not a secret itself

#: Characters of a key for signatures: the 128 bits that count as safe, in hexadecimal.
_LEAST_KEY = 32


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _priorities(value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [each for each in value if each not in PRIORITIES]
    if unknown or not value:
        raise ValueError(f"use some of {', '.join(PRIORITIES)}")
    return value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        ipaddress.ip_network(each, strict=False)
    return value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        if urlsplit(each).path.strip("/") or urlsplit(each).query:
            raise ValueError(f"{origin(each)} is an origin: leave out what follows it")
    return tuple(map(origin, value))


def _long(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < _LEAST_KEY:
        raise ValueError(f"must have at least {_LEAST_KEY} characters: openssl rand -hex 32")
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    try:
        size = len(base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True))
    except ValueError:
        size = 0
    if not text.startswith(SECRET_PREFIX) or not 24 <= size <= 64:
        raise ValueError(f"must be {SECRET_PREFIX} and 24 to 64 bytes in Base64")
    return value


def _command(value: str) -> str:
    if not shlex.split(value):
        raise ValueError("names no program")
    return value


def _model(value: str) -> str:
    try:
        return check_model(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


def _redis(value: str) -> str:
    if not value.startswith(("redis://", "rediss://", "sentinel://")):
        raise ValueError("must begin with redis://, rediss:// or sentinel://")
    for each in value.split(";"):
        check_url(each)
    return value


def _endpoint(value: str | None) -> str | None:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    if value:
        check_url(value)
    return value or None


def _listen(value: str) -> str:
    try:
        parse_address(value)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return value


Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Folder = Annotated[Path, AfterValidator(Path.expanduser)]
#: Words, separated by commas where they are one text.
Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
#: Priorities of jobs, at least one.
Priorities = Annotated[Words, AfterValidator(_priorities)]
#: Addresses or networks, such as 10.0.0.0/8.
Networks = Annotated[Words, AfterValidator(_networks)]
#: Origins of URLs: scheme, host and port.
Origins = Annotated[Words, AfterValidator(_origins)]
#: A key of 32 characters at least.
MessageKey = Annotated[SecretStr, AfterValidator(_long)]
#: whsec_ and 24 to 64 bytes in Base64.
WebhookSecret = Annotated[SecretStr, AfterValidator(_webhook_secret)]
#: A program and its arguments.
CommandLine = Annotated[str, AfterValidator(_command)]
ModelName = Annotated[str, AfterValidator(_model)]
RedisUrl = Annotated[str, AfterValidator(_redis)]
#: A URL of HTTP; an empty text is none.
Endpoint = Annotated[str | None, AfterValidator(_endpoint)]
#: HOST:PORT, or PORT on the loopback.
ListenAddress = Annotated[str, AfterValidator(_listen)]
