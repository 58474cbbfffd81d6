"""The manifests in deploy/kubernetes: valid by Kubernetes's schema, and true to the code."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from inkmill.cli.commands.desk import desk
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


#: Those that get credentials; and what is applied by whoever needs it.
SECRETS = ("worker", "desk", "metrics", "setup", "trainer")
OPTIONAL = {"trainer.yaml", "webhooks.yaml", "traces.yaml"}
PLAIN = [(name, each) for name, each in manifests() if each["kind"] not in _OTHERS]
PODS = [each["spec"]["template"]["spec"] for _, each in PLAIN if "template" in each["spec"]]


@pytest.mark.parametrize(("name", "manifest"), PLAIN, ids=lambda each: str(each)[:20])
def test_manifests_keep_to_the_schema(name: str, manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, _KUBERNETES, strict=True)


def test_everything_is_applied_but_what_not_everybody_needs() -> None:
    (kustomization,) = [each for _, each in manifests() if each["kind"] == "Kustomization"]
    files = {path.name for path in FOLDER.glob("*.yaml")}
    assert {*kustomization["resources"]} == files - {"kustomization.yaml"} - OPTIONAL
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
            assert container["args"][0] in COMMANDS


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
        assert url.startswith(f"redis://{name}:") == (part != "setup")


def ports_of(container: Manifest) -> dict[str, int]:
    return {each["name"]: each["containerPort"] for each in container.get("ports", ())}


def test_probes_ask_the_port_that_is_served() -> None:
    listen = variables("settings.env")["INKMILL_METRICS_LISTEN"]
    containers = [container for pod in PODS for container in pod["containers"]]
    ports = {each["name"]: ports_of(each) for each in containers if "ports" in each}
    assert ports.keys() == {"worker", "metrics", "desk"}
    for part in ("worker", "desk"):
        assert listen == f"0.0.0.0:{ports[part]['metrics']}"
    metrics = the("Deployment", "inkmill-metrics")["spec"]["template"]["spec"]["containers"][0]
    assert metrics["args"] == ["metrics", "--listen", f"0.0.0.0:{ports['metrics']['metrics']}"]
    serve = click.Context(desk)
    (port,) = [each for each in desk.params if each.name == "port"]
    assert port.get_default(serve) == ports["desk"]["pages"]
    for each in containers:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in each:
                assert each[probe]["httpGet"]["port"] in ports_of(each)
    allowed = the("NetworkPolicy", "inkmill")["spec"]["ingress"][0]["ports"]
    assert {each["port"] for each in allowed} == {each["metrics"] for each in ports.values()}
    pages = the("NetworkPolicy", "inkmill-desk")["spec"]["ingress"][0]["ports"]
    assert pages == [{"port": ports["desk"]["pages"]}]


def test_pods_reach_what_their_settings_name_and_no_metadata_service() -> None:
    """Out of the example settings: who changes a port there must change it in the policy."""
    endpoints = [variables("settings.env")["INKMILL_S3_ENDPOINT"]]
    for part in SECRETS:
        endpoints += [variables(f"secrets.example/{part}.env").get("INKMILL_REDIS_URL", "")]
    wanted = {urlsplit(each).port for each in endpoints if each}
    names, servers = the("NetworkPolicy", "inkmill")["spec"]["egress"]
    assert {each["port"] for each in servers["ports"]} == wanted
    assert {(each["port"], each["protocol"]) for each in names["ports"]} == {
        (53, "UDP"),
        (53, "TCP"),
    }
    policies = [each for _, each in manifests() if each["kind"] == "NetworkPolicy"]
    blocks = [
        to["ipBlock"]
        for policy in policies
        for rule in policy["spec"].get("egress", ())
        for to in rule["to"]
        if "ipBlock" in to
    ]
    assert len(blocks) == 2
    metadata = ipaddress.ip_address("169.254.169.254")
    for block in blocks:
        assert any(metadata in ipaddress.ip_network(each) for each in block["except"])


def test_webhooks_stay_outside_and_policies_hold_for_every_pod() -> None:
    (rule,) = the("NetworkPolicy", "inkmill-webhooks")["spec"]["egress"]
    shut = [ipaddress.ip_network(each) for each in rule["to"][0]["ipBlock"]["except"]]
    for inside in ("10.0.0.7", "172.20.1.1", "192.168.1.1", "127.0.0.1", "100.64.0.1"):
        assert any(ipaddress.ip_address(inside) in each for each in shut), inside
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for _, each in PLAIN
        if "template" in each["spec"]
    ]
    assert {each["app.kubernetes.io/name"] for each in labels} == {"inkmill"}
    components = {each["app.kubernetes.io/component"] for each in labels}
    assert components == set(SECRETS)
    assert the("NetworkPolicy", "inkmill")["spec"]["podSelector"] == {
        "matchLabels": {"app.kubernetes.io/name": "inkmill"}
    }


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
