"""The files that run a cluster fit the program and each other; every alert has metrics that exist, and a runbook."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.house.command_lines import flags, parsed
from tests.house.test_deploy import CONTAINERFILE, asked, ports, serving
from wirechat.settings.schema import FIELDS
from wirechat.store.pools import CONNECTIONS
from wirechat.wire import limits

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy/cluster/compose.yaml"
HAPROXY = ROOT / "deploy/cluster/haproxy.cfg"
UNIT = ROOT / "deploy/systemd/wirechat@.service"
KUBERNETES = ROOT / "deploy/kubernetes"
RULES = ROOT / "deploy/prometheus/wirechat.rules.yaml"
DASHBOARD = ROOT / "deploy/grafana/wirechat.json"
RUNBOOKS = ROOT / "docs/operations/runbooks.md"
METRICS = ROOT / "docs/operations/metrics.md"
ROUTES = re.findall(r'Route\("(/\w+)"', (ROOT / "wirechat/server/http.py").read_text())
DRAIN_SECONDS = limits.DRAIN_MS / 1000


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def node() -> dict[str, Any]:
    one, other = compose()["services"]["node-a"], compose()["services"]["node-b"]
    assert one == other
    return dict(one)


def is_setting(variable: str) -> bool:
    """Whether this variable of the environment sets something."""
    return variable.removeprefix("WIRECHAT_").lower().replace("__", ".") in FIELDS


# compose


def test_the_nodes_of_compose_start() -> None:
    """With flags and variables that exist, from the image that has what a cluster needs, and with time to drain."""
    serve = serving(node()["command"])
    (variables,) = [[name for name in node()["environment"] if name.startswith("WIRECHAT_")]]
    assert variables
    assert all(map(is_setting, variables))
    build = node()["build"]
    assert (COMPOSE.parent / build["context"] / build["dockerfile"]).resolve() == CONTAINERFILE
    assert "'.[cluster]'" in CONTAINERFILE.read_text()
    assert serve["--trust-proxy"] == [compose()["services"]["haproxy"]["networks"]["chat"]["ipv4_address"]]
    assert int(node()["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS


def test_haproxy_finds_the_nodes() -> None:
    """Their names, their ports, and where readiness is asked."""
    serve, text = serving(node()["command"]), HAPROXY.read_text()
    servers = re.findall(r"^\s+server \w+ ([\w-]+):(\d+)", text, re.MULTILINE)
    assert {name for name, _ in servers} == {"node-a", "node-b"}
    assert {int(port) for _, port in servers} == ports(serve)
    (checked,) = re.findall(r"check port (\d+)", text)
    assert serve["--http"] == [f"0.0.0.0:{checked}"]
    (path,) = re.findall(r"option httpchk GET (\S+)", text)
    assert path in ROUTES
    published = compose()["services"]["haproxy"]["ports"]
    assert all(port.startswith("127.0.0.1:") for port in published)
    bound = re.findall(r"bind 0\.0\.0\.0:(\d+)", text)
    assert [port.rpartition(":")[2] for port in published] == bound


def test_the_database_has_room_for_the_nodes() -> None:
    """For both, for one that replaces another, and for the operator."""
    (setting,) = [word for word in compose()["services"]["postgres"]["command"] if word.startswith("max_connections=")]
    assert int(setting.partition("=")[2]) > 2 * 3 * 2 * CONNECTIONS


def test_docker_reads_the_file() -> None:
    """Where docker compose is there to be asked."""
    if shutil.which("docker") is None or asked("docker", "compose", "version").returncode:
        pytest.skip("docker compose is not installed")
    words = ("env", "POSTGRES_PASSWORD=a", "NATS_PASSWORD=b", "docker", "compose", "--file", COMPOSE, "config", "-q")
    done = asked(*words)
    assert (done.returncode, done.stderr) == (0, "")


# systemd


def test_the_unit_of_a_node() -> None:
    """It starts a node with settings of its own and waits for the drain."""
    text = UNIT.read_text()
    service = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    program, *arguments = shlex.split(service["ExecStart"])
    assert program.endswith("/bin/wirechat")
    parsed(arguments)
    assert "%i" in flags(arguments)["--config"][0]
    assert int(service["TimeoutStopSec"]) > DRAIN_SECONDS
    assert int(service["StartLimitIntervalSec"]) == 0
    mentioned = re.findall(r"WIRECHAT_\w+", text)
    assert mentioned
    assert all(map(is_setting, mentioned))


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    """Where systemd is there to be asked."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / "wirechat@one.service"
    copy.write_text(UNIT.read_text().replace("/opt/wirechat/bin/wirechat", "/bin/true"))
    done = asked("systemd-analyze", "verify", copy)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_as_closed_as_the_unit_of_one_server() -> None:
    """What protects the machine stands in both."""
    closed = [
        re.sub(r"(?s)^.*# Nothing else of the machine", "", path.read_text())
        for path in (UNIT, UNIT.with_name("wirechat.service"))
    ]
    assert closed[0] == closed[1]


# Kubernetes


def resources() -> dict[str, dict[str, Any]]:
    """kind -> manifest, of all files that the kustomization names."""
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    names = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == names
    found = [yaml.safe_load((KUBERNETES / name).read_text()) for name in sorted(names)]
    return {each["kind"]: each for each in found}


def pod() -> dict[str, Any]:
    loaded: dict[str, Any] = resources()["Deployment"]["spec"]["template"]
    return loaded


def container() -> dict[str, Any]:
    (only,) = pod()["spec"]["containers"]
    return dict(only)


def test_the_pod_starts_a_node() -> None:
    """Flags and variables exist; what is secret is named, not written."""
    (serve,) = [[word for each in container()["args"] for word in each.split("=")]]
    listening = serving(serve)
    assert all(is_setting(each["name"]) and "secretKeyRef" in each["valueFrom"] for each in container()["env"])
    named = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert {named["tls"], named["wss"]} == ports(listening)
    assert listening["--http"] == [f"0.0.0.0:{named['http']}"]
    (mount,) = container()["volumeMounts"]
    assert all(listening[flag][0].startswith(mount["mountPath"]) for flag in ("--cert", "--key"))


def test_the_pod_is_asked_how_it_is() -> None:
    """At paths and ports that exist; a slow database must not get it killed, so only /livez decides about that."""
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked_at = container()[probe]["httpGet"]
        assert asked_at["port"] == "http"
        assert asked_at["path"] == ("/readyz" if probe == "readinessProbe" else "/livez")
        assert asked_at["path"] in ROUTES
    assert pod()["metadata"]["annotations"]["prometheus.io/port"] == "7670"


def test_the_pod_has_time_to_drain() -> None:
    """After the pause in which the balancer learns that it goes."""
    word, pause = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert word == "sleep"
    assert pod()["spec"]["terminationGracePeriodSeconds"] > int(pause) + DRAIN_SECONDS


def test_manifests_fit_each_other() -> None:
    """Selectors, ports, and that it is never quite gone."""
    labels = pod()["metadata"]["labels"].items()
    found = resources()
    assert found["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert found["Service"]["spec"]["selector"].items() <= labels
    names = {port["name"] for port in container()["ports"]}
    assert {port["targetPort"] for port in found["Service"]["spec"]["ports"]} <= names
    assert found["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] < found["Deployment"]["spec"]["replicas"]
    security = container()["securityContext"]
    assert (security["readOnlyRootFilesystem"], security["capabilities"]) == (True, {"drop": ["ALL"]})
    assert str(pod()["spec"]["securityContext"]["runAsUser"]) in CONTAINERFILE.read_text()
    assert {"requests", "limits"} == container()["resources"].keys()


def test_kubectl_reads_them() -> None:
    """Where it is there to be asked; it needs no cluster for that."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = asked("kubectl", "kustomize", KUBERNETES)
    assert (done.returncode, done.stderr) == (0, "")
    assert {each["kind"] for each in yaml.safe_load_all(done.stdout)} == set(resources())


# alerts and dashboard


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    found = {rule["alert"]: rule for rule in rules}
    assert len(found) == len(rules)
    return found


def expressions() -> list[str]:
    """Of the alerts, and of all panels."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(shown) > 30
    return [*(rule["expr"] for rule in alerts().values()), *shown]


def documented() -> dict[str, set[str]]:
    """metric -> labels; tests/server/test_side_door.py compares that table with the code."""
    found = {"up": set[str]()}
    row = re.compile(r"^\| `(wirechat_\w+)` \| (\w+) \| ([^|]*) \|", re.MULTILINE)
    for name, kind, labels in row.findall(METRICS.read_text()):
        found[name] = {label.strip() for label in labels.split(",") if label.strip()}
        if kind == "histogram":
            found.update({f"{name}_{suffix}": found[name] | {"le"} for suffix in ("bucket", "sum", "count")})
    process = ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds")
    return found | {f"process_{name}": set[str]() for name in process}


METRIC = re.compile(r"\b((?:wirechat|process)_\w+|up)\b(?:\{([^}]*)\})?")


def test_every_metric_exists() -> None:
    """And has the labels by which it is asked for."""
    known = documented()
    for expression in expressions():
        named = METRIC.findall(re.sub(r"by \([^)]*\)", "", expression))
        assert named, expression
        for metric, matchers in named:
            assert metric in known, f"{metric} in {expression}"
            labels = set(re.findall(r"(\w+)\s*[=!]~?", matchers))
            assert labels <= known[metric] | {"instance", "job"}, f"{metric}{{{matchers}}}"


def test_every_grouping_exists() -> None:
    """A sum by a label that no metric of the expression has would be one number for all."""
    known = documented()
    for expression in expressions():
        has = {"instance", "job"}.union(*(known[metric] for metric, _ in METRIC.findall(expression) if metric in known))
        for grouping in re.findall(r"by \(([^)]*)\)", expression):
            assert set(grouping.split(", ")) <= has, expression
        assert expression.count("(") == expression.count(")")
        assert expression.count("{") == expression.count("}")


def test_the_exported_process_metrics_are_those() -> None:
    """The names that this file takes for granted."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    registry.register(ProcessCollector(registry=None))
    exported = {line.split()[0] for line in generate_latest(registry).decode().splitlines() if line[0] != "#"}
    assert {name for name in documented() if name.startswith("process_")} <= exported


def test_every_alert_has_a_runbook() -> None:
    """With what it means and numbered steps, and there is no runbook without an alert."""
    title, *sections = re.split(r"^## ", RUNBOOKS.read_text(), flags=re.MULTILINE)
    assert title.startswith("# Runbooks")
    bodies = {section.partition("\n")[0]: section for section in sections}
    assert list(bodies) == list(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"docs/operations/runbooks.md#{name.lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert re.search(r"^1\. ", bodies[name], re.MULTILINE), name
        assert bodies[name].splitlines()[2].strip(), f"{name}: what does it mean?"


def test_panels_do_not_lie_over_each_other() -> None:
    """Each place of the grid belongs to one; ids are unique."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
