"""docker-compose.yml and the Dockerfile say what the code and the operator's guide rely on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from inkmill.cli.main import inkmill
from inkmill.settings import Settings

ROOT = Path(__file__).parents[2]
#: After the drain deadline a worker waits this long for its threads, see worker/service.py.
_AFTER_DEADLINE = 10


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found


@pytest.fixture(scope="module")
def stages() -> dict[str, str]:
    """Name of each stage of the Dockerfile, with its text."""
    parts = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    return {part.split("\n")[0].split(" AS ")[1]: part for part in parts}


def seconds(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()  # type: ignore[union-attr]
    return int(number) * (60 if unit == "m" else 1)


def default_of(text: str) -> str:
    """What ``${NAME:-default}`` is without a .env file."""
    return re.fullmatch(r"\$\{\w+:-(.+)\}", text)[1]  # type: ignore[index]


def ours(services: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in services.items() if "build" in each}


def test_only_settings_that_exist_are_set(services: dict[str, Any]) -> None:
    for name, service in ours(services).items():
        for variable, value in service["environment"].items():
            assert variable.removeprefix("INKMILL_").lower() in Settings.model_fields, name
            assert value is not None, f"{name}: {variable}"


def test_the_settings_are_valid_once_passwords_are_filled_in(services: dict[str, Any]) -> None:
    for name, service in ours(services).items():
        environment = {
            variable: re.sub(
                r"\$\{\w+:-([^}]*)\}", r"\1", re.sub(r"\$\{\w+:\?[^}]*\}", "0123abcd" * 6, value)
            )
            for variable, value in service["environment"].items()
        }
        settings = Settings.load(environment, folder=Path("/nonexistent"))
        assert settings.s3_secret_key is not None, name
        assert settings.s3_secret_key.get_secret_value() == "0123abcd" * 6


def test_commands_exist(services: dict[str, Any]) -> None:
    context = click.Context(inkmill)
    for name, service in ours(services).items():
        if "command" in service:
            assert inkmill.get_command(context, service["command"][0]), name


def test_a_worker_may_drain_before_it_is_killed(services: dict[str, Any]) -> None:
    worker = services["worker"]
    deadline = float(worker["environment"]["INKMILL_DRAIN_DEADLINE"])
    assert seconds(worker["stop_grace_period"]) > deadline + _AFTER_DEADLINE


def test_engines_are_replaced_before_the_container_is_out_of_memory(
    services: dict[str, Any],
) -> None:
    worker = services["worker"]
    engines = int(default_of(worker["cpus"]))
    most = int(default_of(worker["environment"]["INKMILL_ENGINE_MEMORY"]))
    memory = int(default_of(worker["mem_limit"]).removesuffix("g")) * 2**30
    assert engines * most + 2**30 < memory


def test_worker_can_be_scaled(services: dict[str, Any]) -> None:
    assert "container_name" not in services["worker"]
    assert "ports" not in services["worker"]
    assert services["worker"]["healthcheck"]["test"] == ["CMD", "inkmill", "health"]


def test_every_service_is_contained(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["tmpfs"] == ["/tmp"], name
        assert service["pids_limit"] <= 4096, name
        assert "mem_limit" in service, f"{name}: it could take the host's memory"
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert not service.keys() & {"privileged", "pid", "ipc", "devices"}, name
    with_capabilities = {name for name, each in services.items() if "cap_add" in each}
    assert with_capabilities == {"volume-owner"}
    assert services["volume-owner"]["network_mode"] == "none"


def test_servers_run_as_users_and_own_their_volumes(services: dict[str, Any]) -> None:
    """Images of others are told their user; ours say it themselves (USER in the Dockerfile)."""
    (chown,) = services["volume-owner"]["command"]
    for name in ("redis", "s3"):
        service = services[name]
        user = service["user"]
        assert not user.startswith("0")
        assert f"chown -R {user} /{name}" in chown
        assert f"{name}:/{name}" in services["volume-owner"]["volumes"]
        assert service["depends_on"]["volume-owner"] == {
            "condition": "service_completed_successfully"
        }
        assert f"{name}:/data" in service["volumes"]


def test_whatever_is_written_lies_in_a_volume(
    services: dict[str, Any], compose: dict[str, Any], stages: dict[str, str]
) -> None:
    places = {
        name: {each.split(":")[1]: each.split(":")[0] for each in service.get("volumes", [])}
        for name, service in services.items()
        if not name.startswith("producer")
    }
    for server in ("redis", "s3"):  # a config is copied into a read-only root only in a volume
        for config in services[server]["configs"]:
            assert str(Path(config["target"]).parent) in places[server]
    for name in ("worker", "desk"):  # models, and pictures of fields
        assert "/var/cache/inkmill" in places[name]
    assert "/runs" in places["trainer-cpu"]
    assert places["worker"]["/var/cache/inkmill"] != places["desk"]["/var/cache/inkmill"]
    assert "HOME=/tmp" in stages["base"]
    named = {place for each in places.values() for place in each.values() if place[0] not in "$."}
    assert named == set(compose["volumes"])


def test_redis_has_room_for_twice_its_data(
    services: dict[str, Any], compose: dict[str, Any]
) -> None:
    data = re.search(
        r"^maxmemory \$\{\w+:-(\d+)mb\}", compose["configs"]["redis.conf"]["content"], re.M
    )
    assert data
    limit = default_of(services["redis"]["mem_limit"])
    assert int(limit.removesuffix("g")) * 1024 >= 2 * int(data[1])


def test_images_can_be_pinned_by_digest(services: dict[str, Any]) -> None:
    """`make pin-images` writes these variables; until then a version is named, never `latest`."""
    recipe = (ROOT / "Makefile").read_text().partition("\npin-images:")[2].partition("\n\n")[0]
    for name, variable in (("redis", "REDIS_IMAGE"), ("s3", "S3_IMAGE")):
        image = services[name]["image"]
        assert image.startswith(f"${{{variable}:-")
        assert re.search(r":\d+\.\d+", default_of(image))
        assert f"pin {variable} " in recipe
    assert services["volume-owner"]["image"] == services["redis"]["image"]


def test_what_is_published_is_bound_to_loopback(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_redis_keeps_messages_and_wants_a_password(compose: dict[str, Any]) -> None:
    config = compose["configs"]["redis.conf"]["content"]
    assert "appendonly yes" in config
    assert "maxmemory-policy noeviction" in config
    assert re.search(r"^requirepass \$\{REDIS_PASSWORD:\?", config, re.MULTILINE)


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    secrets = re.findall(r"\$\{(\w*(?:PASSWORD|KEY))(:.)", text)
    assert len({name for name, _ in secrets}) == 14
    assert {operator for _, operator in secrets} == {":?"}, "without it compose must refuse"
    made = (ROOT / "Makefile").read_text().partition("\n.env:")[2].partition("\n\n")[0]
    assert all(name in made for name, _ in secrets), "make .env must make it"


def test_s3_listens_for_nothing_more_and_reports_to_nobody(services: dict[str, Any]) -> None:
    flags = services["s3"]["command"]
    assert {"-master.telemetry=false", "-s3.port.lance=0", "-s3.port.iceberg=0"} <= set(flags)


def test_nothing_works_before_bucket_and_model_are_there(services: dict[str, Any]) -> None:
    for name in ours(services).keys() - {"setup"}:
        waits = services[name]["depends_on"]
        assert waits["setup"] == {"condition": "service_completed_successfully"}, name
    for name in ours(services):
        for server in ("redis", "s3"):
            waits = services[name]["depends_on"]
            assert waits[server] == {"condition": "service_healthy"}, name
    assert "healthcheck" in services["redis"]
    assert "healthcheck" in services["s3"]


def test_trainer_reserves_a_gpu_only_in_its_profile(services: dict[str, Any]) -> None:
    gpu, cpu = services["trainer-gpu"], services["trainer-cpu"]
    devices = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert (gpu["profiles"], cpu["profiles"]) == (["gpu"], ["cpu"])
    assert "deploy" not in cpu
    assert (ROOT / f"requirements/{gpu['build']['args']['TRAINER_SET']}.txt").exists()


def test_a_worker_with_a_gpu_is_a_worker_with_its_own_image(services: dict[str, Any]) -> None:
    gpu, cpu = services["worker-gpu"], services["worker"]
    assert gpu["deploy"] == services["trainer-gpu"]["deploy"]
    assert gpu["profiles"] == ["worker-gpu"]
    assert gpu["image"] != cpu["image"], "one would replace the other"
    assert (ROOT / f"requirements/{gpu['build']['args']['WORKER_SET']}.txt").exists()
    assert default_of(gpu["cpus"]) == "0", "Docker refuses more than the host has"
    assert gpu["environment"].items() > cpu["environment"].items()
    engines = int(default_of(gpu["environment"]["INKMILL_ENGINES"]))
    most = int(default_of(gpu["environment"]["INKMILL_ENGINE_MEMORY"]))
    memory = int(default_of(gpu["mem_limit"]).removesuffix("g")) * 2**30
    # A gigabyte for the worker, four for the predictor process.
    assert engines * most + 5 * 2**30 <= memory


def test_a_worker_has_the_set_that_is_asked_for(services: dict[str, Any]) -> None:
    asked = services["worker"]["build"]["args"]["WORKER_SET"]
    assert default_of(asked) == "worker"
    assert asked.startswith("${WORKER_SET:-")
    documented = re.findall(r"`(worker-\w+)`", (ROOT / "docs/how-to/run-a-cluster.md").read_text())
    assert "worker-openvino" in documented
    assert all((ROOT / f"requirements/{name}.txt").exists() for name in documented)


def test_services_are_built_from_targets_that_exist(
    services: dict[str, Any], stages: dict[str, str]
) -> None:
    for name, service in ours(services).items():
        assert service["build"]["target"] in stages, name


def test_images_run_as_nobody_in_particular(stages: dict[str, str]) -> None:
    for target in ("producer", "worker", "trainer"):
        assert re.search(r"^USER 10001:10001$", stages[target], re.MULTILINE), target


def test_build_context_holds_what_the_wheel_needs_and_no_data() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    taken = {line[1:].rstrip("/") for line in lines if line.startswith("!")}
    import tomllib

    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    files = {"pyproject.toml", "requirements", "README.md", "LICENSE"}
    assert taken == files | set(tool["package-dir"].values())
