"""Where settings come from: variables, a file, and the local stack; and what errors say of them."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkmill.errors import SettingsError
from inkmill.suggestions import did_you_mean
from inkmill.urls import redact_url

if TYPE_CHECKING:
    from pydantic import ValidationError

PREFIX = "INKMILL_"
#: What `inkmill up` writes in its folder, so that other commands there find the servers.
STACK_FILE = Path(".inkmill/stack.json")
#: Variables that are not settings: the locations of data and the config file.
_OTHERS = {"INKMILL_CONFIG", "INKMILL_DATA", "INKMILL_DEBUG"}

#: A source's name, and the values that it has, by setting.
Source = tuple[str, dict[str, Any]]


def merged(
    environ: Mapping[str, str], folder: Path, known: Collection[str]
) -> dict[str, tuple[Any, str]]:
    """Each setting that is set anywhere: its value and its source. Raises SettingsError."""
    # A later one wins.
    sources = (
        *_local_stack(folder / STACK_FILE),
        *_config_file(environ, folder, known),
        *_variables(environ, known),
    )
    return {name: (value, source) for source, values in sources for name, value in values.items()}


def unknown(environ: Mapping[str, str], known: Collection[str]) -> Iterator[str]:
    """INKMILL_* variables that match no setting."""
    ours = (each for each in environ if each.startswith(PREFIX) and each not in _OTHERS)
    return (each for each in ours if each.removeprefix(PREFIX).lower() not in known)


def _variables(environ: Mapping[str, str], known: Collection[str]) -> list[Source]:
    found = []
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in _OTHERS or value == "":
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in known:
            found.append((variable, {name: value}))
    return found


def _config_file(environ: Mapping[str, str], folder: Path, known: Collection[str]) -> list[Source]:
    named = environ.get("INKMILL_CONFIG")
    path = Path(named) if named else folder / "inkmill.toml"
    if not named and not path.exists():
        return []
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file ({error})") from None
    strange = sorted(set(values) - set(known))
    if strange:
        hint = did_you_mean(strange[0], known) if len(strange) == 1 else ""
        raise SettingsError(
            f"{path}: no such setting: {', '.join(strange)}{hint}; see docs/reference/settings.md"
        )
    return [(str(path), values)]


def _local_stack(path: Path) -> list[Source]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        os.kill(int(record["pid"]), 0)  # a stack that died leaves its file behind
    except (OSError, ValueError, KeyError):
        return []
    return [(str(path), record["settings"])]


def _is_secret(name: str) -> bool:
    return any(each in name for each in ("secret", "password", "message_key"))


def explain(error: ValidationError, merged: Mapping[str, tuple[Any, str]]) -> str:
    """What is wrong with which value of which source."""
    lines = []
    for each in error.errors():
        name = str(each["loc"][0]) if each["loc"] else ""
        reason = each["msg"].removeprefix("Value error, ")
        if name in merged:
            value, source = merged[name]
            shown = repr(redact_url(value) if isinstance(value, str) else value)
            shown = "…" if _is_secret(name) else shown
            lines.append(f"{source}: {name} = {shown}: {reason}")
        else:
            lines.append(reason)
    return "settings: " + "; ".join(dict.fromkeys(lines))
