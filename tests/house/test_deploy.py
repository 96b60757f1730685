"""What deploy/ says is true: its commands parse, its paths and ports fit together, its files are well formed."""

import ipaddress
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.house.command_lines import flags, parsed
from wirechat.wire import limits

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy/systemd/wirechat.service"
CONTAINERFILE = ROOT / "deploy/container/Containerfile"
COMPOSE = ROOT / "deploy/container/compose.yaml"
SECONDS = 60


def asked(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)


def unit() -> dict[str, str]:
    lines = [line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def instruction(name: str) -> str:
    """The arguments of the last instruction of this name in the Containerfile."""
    text = CONTAINERFILE.read_text().replace("\\\n", " ")
    return re.findall(rf"^{name} (.*)$", text, re.MULTILINE)[-1]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def serving(arguments: list[str]) -> dict[str, list[str]]:
    """The flags of a `serve` that the command understands."""
    assert arguments[0] == "serve"
    parsed(arguments)
    return flags(arguments)


def ports(serve: dict[str, list[str]]) -> set[int]:
    addresses = [address for transport in ("tcp", "tls", "ws", "wss") for address in serve.get(f"--{transport}", [])]
    return {int(address.rpartition(":")[2]) for address in addresses}


def test_the_unit_starts_a_server_on_its_state_directory() -> None:
    """What is written outside of it would be refused by ProtectSystem=strict."""
    service = unit()
    program, *arguments = shlex.split(service["ExecStart"])
    assert program.endswith("/bin/wirechat")
    assert serving(arguments)["--data"] == [f"/var/lib/{service['StateDirectory']}"]
    assert service["ProtectSystem"] == "strict"


def test_the_unit_waits_for_the_drain() -> None:
    """Else systemd would kill what SIGTERM asked to say goodbye."""
    assert int(unit()["TimeoutStopSec"]) * 1000 > limits.DRAIN_MS


def test_the_container_starts_a_server_on_its_volume() -> None:
    """And exposes what it listens on."""
    assert json.loads(instruction("ENTRYPOINT")) == ["wirechat"]
    serve = serving(json.loads(instruction("CMD")))
    assert serve["--data"] == [instruction("VOLUME")]
    assert ports(serve) == set(map(int, instruction("EXPOSE").split()))
    assert instruction("USER") not in ("root", "0")
    (probed,) = re.findall(r"http://([^/]+)/livez", instruction("HEALTHCHECK"))
    assert serve["--http"] == [probed]


def test_the_copied_files_exist() -> None:
    """.dockerignore lets in what the build needs, by name."""
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert {"setup.py", "setup.cfg", "pyproject.toml", "wirechat", "protocol"} < set(let_in)
    assert all((ROOT / name).exists() for name in let_in)


def test_compose_fits_the_container() -> None:
    """Volume, ports and the address of the trusted proxy."""
    services = compose()["services"]
    ours, caddy = services["wirechat"], services["caddy"]
    serve = serving(ours["command"])
    assert (COMPOSE.parent / ours["build"]["context"] / ours["build"]["dockerfile"]).resolve() == CONTAINERFILE
    assert serve["--http"] == serving(json.loads(instruction("CMD")))["--http"]
    assert serve["--data"][0] in {volume.split(":")[1] for volume in ours["volumes"]}
    assert {int(port.split(":")[-1]) for port in ours["ports"]} <= ports(serve)
    assert serve["--trust-proxy"] == [caddy["networks"]["chat"]["ipv4_address"]]
    assert int(caddy["command"][-1].rpartition(":")[2]) in ports(serve)
    (network,) = compose()["networks"]["chat"]["ipam"]["config"]
    for service in (ours, caddy):
        address = ipaddress.ip_address(service["networks"]["chat"]["ipv4_address"])
        assert address in ipaddress.ip_network(network["subnet"])


def test_nothing_unencrypted_is_published() -> None:
    """P10 needs no help from a compose file, but passwords do: plain TCP stays on this machine."""
    for port in compose()["services"]["wirechat"]["ports"]:
        assert port.startswith("127.0.0.1:")


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    """Where systemd is there to be asked."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = shlex.split(unit()["ExecStart"])[0]
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(program, "/bin/true"))
    done = asked("systemd-analyze", "verify", copy)
    assert (done.returncode, done.stderr) == (0, "")


def test_docker_reads_the_compose_file() -> None:
    """Where docker compose is there to be asked; it needs no engine for that."""
    if shutil.which("docker") is None or asked("docker", "compose", "version").returncode:
        pytest.skip("docker compose is not installed")
    done = asked("docker", "compose", "--file", COMPOSE, "--profile", "caddy", "config", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
