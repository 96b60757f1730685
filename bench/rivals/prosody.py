"""Prosody with its archive (MAM) in SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import certificate
from bench.process import running
from bench.rivals.rival import Foreign, Guarantee, first_line
from bench.rivals.server import Server
from tools.cluster.engine import free_port
from tools.loadgen.targets.xmpp import Xmpp

CONFIGURATION = """\
pidfile = "{scratch}/prosody.pid"
data_path = "{scratch}/data"
run_as_root = true
interfaces = {{ "127.0.0.1" }}
{transport}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
allow_registration = true
modules_enabled = {{
    "disco"; "roster"; "saslauth"; "smacks"; "ping"; "register"; "register_ibr"; "mam"; "posix";
}}
modules_disabled = {{ "s2s"; "tls"; "dialback"; "limits" }}
authentication = "internal_plain"
network_backend = "epoll"
network_settings = {{ tcp_backlog = 1024 }}
smacks_max_queue_size = 5000
default_archive_policy = true
storage = {{ archive = "sql"; muc_log = "sql" }}
default_storage = "internal"
sql = {{ driver = "SQLite3", database = "{scratch}/archive.sqlite" }}
log = {{ warn = "*console" }}
VirtualHost "localhost"
Component "conference.localhost" "muc"
    modules_enabled = {{ "muc_mam" }}
    muc_log_by_default = true
    muc_room_locking = false
    muc_room_default_presence_broadcast = {{ visitor = false, participant = false, moderator = false }}
"""


class Prosody(Foreign):
    """One process, one thread."""

    name = "prosody"
    store = "MAM in SQLite, a transaction for each text; accounts in files"
    install = "apt-get install prosody lua-dbi-sqlite3"
    dialect = Xmpp
    guarantee = Guarantee(
        acknowledged="handled by the server (XEP-0198); SQLite syncs as it stores",
        delivery="pairs: at least once (XEP-0198); groups: to whoever is in the room",
        duplicates="possible after a resumption; archive ids let a client find them",
        order="of one sender to one receiver; of the room in a group",
        offline="archived",
    )

    def version(self) -> str | None:
        installed = first_line("dpkg-query", "-W", "-f", "${Package} ${Version}\\n", "prosody")
        return installed.partition("-")[0] if installed and installed.startswith("prosody ") else None

    @contextmanager
    def serve(self, scratch: Path, transport: str = "tcp") -> Iterator[Server]:
        port, configuration = free_port(), scratch / "prosody.cfg.lua"
        trust, also = None, f"c2s_ports = {{ {port} }}"
        if transport == "tls":
            trust, key = certificate.make(scratch)
            certified = f'{{ certificate = "{trust}"; key = "{key}"; }}'
            also = f"c2s_ports = {{}}\nc2s_direct_tls_ports = {{ {port} }}\nc2s_direct_tls_ssl = {certified}"
        configuration.write_text(CONFIGURATION.format(port=port, scratch=scratch, transport=also))
        with running(["prosody", "--config", configuration, "-F"], scratch, port) as processes:
            yield Server(processes, port, trust)
