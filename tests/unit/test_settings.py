"""Settings: where they come from, what is refused, and that each is documented."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from inkmill.errors import SettingsError
from inkmill.setting_sources import STACK_FILE
from inkmill.settings import Settings, unknown_variables

DOCS = Path(__file__).resolve().parents[2] / "docs/reference/settings.md"


def load(folder: Path, **variables: str) -> Settings:
    return Settings.load(variables, folder)


def test_a_variable_wins_over_the_file_and_the_file_over_the_local_stack(tmp_path: Path) -> None:
    stack = tmp_path / STACK_FILE
    stack.parent.mkdir()
    found = {"s3_bucket": "of-stack", "model": "of-stack", "s3_region": "of-stack"}
    stack.write_text(json.dumps({"pid": os.getpid(), "settings": found}))
    (tmp_path / "inkmill.toml").write_text('model = "of-file"\ns3_region = "of-file"\n')
    settings = load(tmp_path, INKMILL_S3_REGION="of-variable")
    assert (settings.s3_bucket, settings.model, settings.s3_region) == (
        "of-stack",
        "of-file",
        "of-variable",
    )


def test_a_stack_that_died_does_not_count(tmp_path: Path) -> None:
    stack = tmp_path / STACK_FILE
    stack.parent.mkdir()
    stack.write_text(json.dumps({"pid": 2**22 + 1, "settings": {"s3_bucket": "gone"}}))
    assert load(tmp_path).s3_bucket == "inkmill"


def test_the_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('input_buckets = ["scans", "more"]\n')
    named = load(tmp_path, INKMILL_CONFIG=str(tmp_path / "other.toml"))
    assert named.input_buckets == ("scans", "more")
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path, INKMILL_CONFIG=str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("INKMILL_REDIS_URL", "http://x", "begin with redis://"),
        ("INKMILL_CHUNK_SIZE", "many", "chunk_size"),
        ("INKMILL_CHUNK_SIZE", "0", "chunk_size"),
        ("INKMILL_QUEUES", "high,urgent", "use some of high, normal, low"),
        ("INKMILL_CONFIDENCE", "1.5", "confidence"),
        ("INKMILL_LOG_LEVEL", "loud", "log_level"),
        ("INKMILL_MODEL", "../x", "is not a model name"),
        ("INKMILL_S3_ENDPOINT", "localhost:1", "begin with http"),
    ],
)
def test_a_bad_value_names_its_variable(
    tmp_path: Path, variable: str, value: str, words: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)) as refused:
        load(tmp_path, **{variable: value})
    assert variable in str(refused.value)


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "inkmill.toml").write_text("redis-url = 1\n")
    with pytest.raises(SettingsError, match=r"inkmill.toml: no such setting: redis-url"):
        load(tmp_path)
    (tmp_path / "inkmill.toml").write_text("no toml")
    with pytest.raises(SettingsError, match=r"inkmill.toml: not a TOML file"):
        load(tmp_path)


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    keys = {"INKMILL_S3_ACCESS_KEY": "access", "INKMILL_S3_SECRET_KEY": "hush-hush"}
    assert "hush-hush" not in repr(load(tmp_path, **keys))
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, INKMILL_S3_SECRET_KEY="hush-hush")
    assert "set both" in str(refused.value)
    assert "hush-hush" not in str(refused.value)


def test_sentinel_needs_its_master(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="redis_sentinel_master"):
        load(tmp_path, INKMILL_REDIS_URL="sentinel://a:26379")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"INKMILL_REDIS_TLS": "true"}, "redis_tls is for Sentinels: redis_url must begin"),
        ({"INKMILL_REDIS_SENTINEL_PASSWORD": "hush-hush"}, "redis_sentinel_password is for"),
        ({"INKMILL_REDIS_CLIENT_KEY": "a.pem"}, "redis_client_key needs redis_client_cert"),
    ],
)
def test_settings_that_would_have_no_effect_are_refused(
    tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        load(tmp_path, **variables)
    assert "hush-hush" not in str(refused.value)


def test_settings_are_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        load(tmp_path).s3_bucket = "other"  # type: ignore[misc]


def test_settings_travel_to_another_process(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        INKMILL_S3_ACCESS_KEY="a",
        INKMILL_S3_SECRET_KEY="b",
        INKMILL_QUEUES="low",
        INKMILL_CHUNK_SIZE="5",
    )
    assert Settings.load(settings.environment(), tmp_path) == settings


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    rows = {}
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if len(cells) == 3 and cells[0].startswith("`INKMILL_"):
            rows[cells[0].strip("`").removeprefix("INKMILL_").lower()] = cells[1:]
    assert set(rows) == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        default, meaning = rows[name]
        assert default == shown(field.default), name
        assert meaning == field.description, name


def shown(default: object) -> str:
    """A default as docs/reference/settings.md writes it."""
    if isinstance(default, float):
        default = f"{default:g}"
    if isinstance(default, bool):
        default = str(default).lower()
    if default is None or default == ():
        return "unset"
    return f"`{','.join(default) if isinstance(default, tuple) else default}`"


def test_variables_that_are_no_settings_are_named() -> None:
    environ = {"INKMILL_ENGINE": "2", "INKMILL_ENGINES": "2", "INKMILL_DATA": "x", "HOME": "/"}
    assert unknown_variables(environ) == ["INKMILL_ENGINE"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDIS_URL", "redsi://:hunter2@redis:6379/0"),
        ("REDIS_URL", "redis:/user:hunter2@redis:6379/0"),
        ("REDIS_URL", "redis:hunter2@redis"),
        ("REDIS_URL", ":hunter2@redis:6379"),
        ("REDIS_URL", "//:hunter2@redis:6379"),
        ("REDIS_URL", "Redis://user:a/b@c hunter2'\"@redis:6379"),
        ("REDIS_URL", "http://redis?password=hunter2&db=0"),
        ("REDIS_URL", "sentinels://:hunter2@one;sentinels://:hunter2@two"),
        ("REDIS_URL", "redis://:hunter2/x@redis:6379/0"),
        ("REDIS_URL", "redis://:6379hunter2@redis:port"),
        ("S3_ENDPOINT", "htp://user:hunter2@s3:9000"),
        ("S3_ENDPOINT", "http://user:hunter2/@s3:9000"),
        ("S3_ENDPOINT", "user:hunter2@s3:9000"),
    ],
)
def test_no_password_is_shown_with_what_is_wrong(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, **{f"INKMILL_{variable}": value})
    assert f"INKMILL_{variable}" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_password_with_special_characters_can_be_written(tmp_path: Path) -> None:
    url = "redis://:a%2Fb%40c%23@redis:6379/0"
    assert load(tmp_path, INKMILL_REDIS_URL=url).redis_url == url
