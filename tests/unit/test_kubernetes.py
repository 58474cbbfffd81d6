"""The manifests in deploy/kubernetes: valid by Kubernetes's schema, and true to the code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from inkmill.cli.main import COMMANDS
from inkmill.producer.metrics import QueueMetrics
from inkmill.settings import Settings, unknown_variables
from tests.fakes import FakeCluster

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
#: The oldest version of Kubernetes that is still maintained by its makers, or older.
_KUBERNETES = "1.30"
#: Resources of others, whose schemas the validator does not carry.
_OTHERS = ("ScaledObject", "Kustomization")

Manifest = dict[str, Any]


def manifests() -> Iterator[tuple[str, Manifest]]:
    for path in sorted(FOLDER.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield path.name, document


def the(kind: str, name: str) -> Manifest:
    (found,) = [
        each
        for _, each in manifests()
        if each["kind"] == kind and each.get("metadata", {}).get("name") == name
    ]
    return found


def variables(name: str) -> dict[str, str]:
    lines = (FOLDER / name).read_text(encoding="utf-8").split()
    return dict(line.split("=", 1) for line in lines)


#: Those that get credentials.
SECRETS = ("worker", "metrics", "setup", "trainer")
PLAIN = [(name, each) for name, each in manifests() if each["kind"] not in _OTHERS]
PODS = [each["spec"]["template"]["spec"] for _, each in PLAIN if "template" in each["spec"]]


@pytest.mark.parametrize(("name", "manifest"), PLAIN, ids=lambda each: str(each)[:20])
def test_manifests_keep_to_the_schema(name: str, manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, _KUBERNETES, strict=True)


def test_everything_is_applied_but_the_training() -> None:
    (kustomization,) = [each for _, each in manifests() if each["kind"] == "Kustomization"]
    files = {path.name for path in FOLDER.glob("*.yaml")}
    assert {*kustomization["resources"]} == files - {"kustomization.yaml", "trainer.yaml"}
    images = {each["name"] for each in kustomization["images"]}
    used = {each["image"] for pod in PODS for each in pod["containers"]}
    assert used - {"inkmill-trainer-gpu"} == images


def test_settings_and_commands_exist() -> None:
    for part in SECRETS:
        found = variables("settings.env") | variables(f"secrets.example/{part}.env")
        assert unknown_variables(found) == []
        Settings.load(found)
    for pod in PODS:
        for container in pod["containers"]:
            words = container.get("args") or ["train"]
            assert words[0] in COMMANDS


def test_each_part_has_credentials_of_its_own() -> None:
    (kustomization,) = [each for _, each in manifests() if each["kind"] == "Kustomization"]
    made = {each["name"]: each["envs"] for each in kustomization["secretGenerator"]}
    assert made == {
        f"inkmill-{part}": [f"secrets/{part}.env"] for part in SECRETS if part != "trainer"
    }
    used = [
        source["secretRef"]["name"]
        for pod in PODS
        for container in pod["containers"]
        for source in container["envFrom"]
        if "secretRef" in source
    ]
    assert sorted(used) == sorted(f"inkmill-{part}" for part in SECRETS)
    for part in SECRETS:
        found = variables(f"secrets.example/{part}.env")
        name = "inkmill" if part == "setup" else f"inkmill-{part}"
        assert found["INKMILL_S3_ACCESS_KEY"] == name
        url = found.get("INKMILL_REDIS_URL", "")
        assert url.startswith(f"redis://{name}:") == (part in ("worker", "metrics"))


def test_probes_ask_the_port_that_is_served() -> None:
    ports = {
        container["name"]: container["ports"][0]["containerPort"]
        for pod in PODS
        for container in pod["containers"]
        if "ports" in container
    }
    listen = variables("settings.env")["INKMILL_METRICS_LISTEN"]
    assert listen == f"0.0.0.0:{ports['worker']}"
    metrics = the("Deployment", "inkmill-metrics")["spec"]["template"]["spec"]["containers"][0]
    assert metrics["args"] == ["metrics", "--listen", f"0.0.0.0:{ports['metrics']}"]
    allowed = the("NetworkPolicy", "inkmill")["spec"]["ingress"][0]["ports"]
    assert {each["port"] for each in allowed} == set(ports.values())


def test_the_autoscaler_asks_for_a_figure_that_is_given() -> None:
    scaled = the("ScaledObject", "inkmill-worker")["spec"]
    (trigger,) = scaled["triggers"]
    service = the("Service", "inkmill-metrics")
    port = service["spec"]["ports"][0]["port"]
    assert trigger["metadata"]["url"] == f"http://inkmill-metrics:{port}/backlog"
    backlog = QueueMetrics(FakeCluster().connection).backlog()
    assert backlog[trigger["metadata"]["valueLocation"]] == 0
    assert (
        scaled["scaleTargetRef"]["name"] == the("Deployment", "inkmill-worker")["metadata"]["name"]
    )
    assert scaled["minReplicaCount"] == 0


def test_nothing_runs_as_root_or_may_become_it() -> None:
    for pod in PODS:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_a_worker_is_given_the_time_that_it_takes_to_leave() -> None:
    deadline = float(variables("settings.env")["INKMILL_DRAIN_DEADLINE"])
    pod = the("Deployment", "inkmill-worker")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > deadline + 10
