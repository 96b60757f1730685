"""Opening a PostgreSQL database: what is wrong is one line that says what to do, shows no password, changes nothing;
and a new version beside servers of the one before.
"""

from __future__ import annotations

import itertools
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from tests.store.cluster import Cluster
from tests.store.proxy import between
from tests.store.talk import Talk
from tests.store.test_postgres import Session, refused, session
from wirechat.store import migrations, opening, pools
from wirechat.store.features import accounts, devices, sync
from wirechat.store.postgres import PostgresStore, look, open_postgres
from wirechat.store.records import Login
from wirechat.store.tx import Tx

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("bounded")]
PASSWORD = "s3cret"
_roles = itertools.count(1)


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    async with open_postgres(url) as opened:
        yield opened


@pytest.fixture
def role(cluster: Cluster, url: str) -> Iterator[tuple[str, str]]:
    """(name of a role without any rights, the address for it)."""
    name = f"clerk{next(_roles)}"
    cluster.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    yield name, login(url, f"{name}:{PASSWORD}")
    cluster.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")


def login(url: str, who: str) -> str:
    """The same place for somebody else."""
    return url.replace(f"//{urlsplit(url).username}@", f"//{who}@")


def schema(url: str) -> str:
    return url.rpartition("=")[2]


# addresses


@pytest.mark.parametrize(
    "address",
    [
        "mysql://ann:s3cret@127.0.0.1/chat",
        "ann:s3cret@127.0.0.1/chat",
        "postgresql://ann:s3cret/1@127.0.0.1/chat",
        "postgresql://ann:s3cret#1@127.0.0.1/chat",
        "postgresql://ann:s3cret@127.0.0.1:port/chat",
        "postgresql://ann:s3cret@127.0.0.1:1/chat",
        "postgresql://ann:s3cret@nowhere.invalid/chat",
        "postgresql://ann:s3cret@/chat?host=/nowhere",
        "postgresql://ann:s3cret@127.0.0.1/chat?sslmode=s3cret",
    ],
)
async def test_no_password_is_shown(address: str) -> None:
    """Whatever is wrong with the address it stands in."""
    line = await refused(address)
    assert line.startswith("cannot use the database: ")
    assert PASSWORD not in line


async def test_a_host_that_is_not_there_and_one_that_refuses() -> None:
    """Which one, and what to do."""
    nowhere = await refused("postgresql://ann@nowhere.invalid:5433/chat")
    assert "nowhere.invalid:5433: there is no such host; correct the address" in nowhere
    for host in ("127.0.0.1:1", "localhost:1"):
        assert f"{host}: Connection refused; look whether PostgreSQL runs there" in await refused(
            f"postgresql://ann:s3cret@{host}/chat"
        )
    assert "/nowhere: No such file or directory" in await refused("postgresql://ann@/chat?host=/nowhere")


async def test_a_certificate_that_cannot_be_checked(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No authority is named, its file is not there, another one has signed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    verified = f"{url}&sslmode=verify-full"
    assert "no certificate to check its own against; sslrootcert" in await refused(verified)
    assert "a file for TLS is not there; sslrootcert" in await refused(f"{verified}&sslrootcert={tmp_path / 'ca.pem'}")
    foreign = ssl.SSLCertVerificationError(1, "certificate verify failed")
    assert "TLS failed: certificate verify failed; sslrootcert" in pools._unreached(url, foreign)


async def test_an_address_that_cannot_be_read() -> None:
    """It is said what one looks like."""
    for bad in ("nonsense", "postgresql://h:port/x", "http://h/x"):
        assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in await refused(bad)


async def test_a_server_that_does_not_answer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting has an end."""
    monkeypatch.setattr(pools, "CONNECT_SECONDS", 0.2)
    async with between(url) as proxy:
        proxy.open = trio.Event()
        assert "no answer within 0.2 s" in await refused(proxy.url)
        proxy.open.set()


# who may


@contextmanager
def asked_for_passwords(cluster: Cluster, name: str) -> Iterator[None]:
    """The server asks this role for its password; everyone else is trusted."""
    file = Path(cluster.sql("SHOW hba_file").strip())
    before = file.read_text()
    file.write_text(f"host all {name} 127.0.0.1/32 scram-sha-256\n{before}")
    cluster.sql("SELECT pg_reload_conf()")
    yield
    file.write_text(before)
    cluster.sql("SELECT pg_reload_conf()")


async def test_a_wrong_password(
    cluster: Cluster, role: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none, and a file of passwords that is not read because others may read it."""
    name, address = role
    with asked_for_passwords(cluster, name):
        for bad in (address.replace(PASSWORD, "t0psecret"), address.replace(f":{PASSWORD}", "")):
            line = await refused(bad)
            assert opening.ADVICE["28P01"] in line
            assert "t0psecret" not in line
        file = tmp_path / "passwords"
        file.write_text(f"*:*:*:*:{PASSWORD}")
        file.chmod(0o644)
        monkeypatch.setenv("PGPASSFILE", str(file))
        assert f"the password file {file} has group or world access" in await refused(bad)
        assert "make the schema" in await refused(address)


async def test_a_role_and_a_database_that_are_not_there(url: str) -> None:
    """Each says what to do."""
    assert 'role "nobody" does not exist; check user' in await refused(login(url, "nobody"))
    assert "CREATE DATABASE" in await refused(url.replace("/postgres?", "/unknown?"))
    assert "make the schema" in await refused(url.replace(schema(url), "nowhere"))


async def test_a_role_without_rights(cluster: Cluster, url: str, role: tuple[str, str]) -> None:
    """None in the schema; it may not make tables; it may not read those that are there; it may only read. With all of
    them it needs to be nobody special.
    """
    name, address = role
    assert "make the schema" in await refused(address)
    cluster.sql(f"GRANT USAGE ON SCHEMA {schema(url)} TO {name}")
    line = await refused(address)
    assert "permission denied for schema" in line
    assert opening.ADVICE["42501"] in line
    async with open_postgres(url):
        pass
    assert "permission denied for table migration" in await refused(address)
    cluster.sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema(url)} TO {name}")
    assert "may not read and write table" in await refused(address)
    cluster.sql(f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema(url)} TO {name}")
    async with open_postgres(address) as store:
        talk = await Talk(store).people(2)
        assert await talk.say(await talk.group(1, 2), 1) == 2


async def test_a_role_of_its_own(cluster: Cluster, url: str, role: tuple[str, str]) -> None:
    """Who owns the schema makes it and everything in it."""
    name, address = role
    cluster.sql(f"ALTER SCHEMA {schema(url)} OWNER TO {name}")
    async with open_postgres(address) as store:
        talk = await Talk(store).people(2)
        assert await talk.say(await talk.group(1, 2), 1) == 2


# what kind of server


async def test_a_server_that_is_read_only(url: str) -> None:
    """As some hosts set it when a disk is full."""
    assert "default_transaction_read_only" in await refused(url + "&default_transaction_read_only=on")


async def test_a_standby(cluster: Cluster, url: str) -> None:
    """It says of itself that it replays the log of another."""
    cluster.sql(f"CREATE FUNCTION {schema(url)}.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'")
    assert "give the address of the primary" in await refused(url + ",pg_catalog")


async def test_a_server_that_is_too_old(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how old."""
    monkeypatch.setattr(opening, "SERVER_MIN", 10**9)
    assert "is too old; wirechat needs 13" in await refused(url)


async def test_a_pooler(url: str) -> None:
    """Prepared statements and limits of a connection would go astray behind it."""
    async with between(url) as proxy:
        proxy.pooling = True
        assert "a pooler such as PgBouncer stands before this PostgreSQL" in await refused(proxy.url)
        proxy.pooling = False
        async with open_postgres(proxy.url):
            pass


# beside the version before

Version = Callable[[int], None]


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> Version:
    """`version(n)`: from now on the program has the first n migrations."""
    ours = migrations.migrations("postgres")
    return lambda count: monkeypatch.setattr(migrations, "migrations", lambda engine: ours[:count])


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The program has one more migration."""
    ours = migrations.migrations("postgres")

    def add(sql: str) -> None:
        more = [*ours, migrations.Migration(len(ours) + 1, "more", sql)]
        monkeypatch.setattr(migrations, "migrations", lambda engine: more)

    return add


async def test_a_server_of_the_version_before_goes_on(url: str, version: Version) -> None:
    """It has the schema changed under it and does what it always did; the new one does what is new."""
    version(2)
    async with open_postgres(url) as old:
        talk = await Talk(old).people(2)
        conv = await talk.group(1, 2)
        version(3)
        async with open_postgres(url) as new:
            assert await talk.say(conv, 1) == 2
            assert await Talk(new).say(conv, 2) == 3
            await old.write(enter_as_before, 7)
            assert await new.write(devices.issue_resume, 7, b"token", 10**15) == Login(1, 7, 1)
        async with open_postgres(url) as another:
            assert await another.read(accounts.find, "user1") is not None


async def enter_as_before(tx: Tx, device: int) -> None:
    """A device as version 2 writes it."""
    await tx.execute(
        "INSERT INTO device (device, user_id, key, name, made) VALUES ($1, $2, $3, $4, $5)", device, 1, None, b"x", 5
    )


async def test_where_it_cannot_go_on(url: str, version: Version) -> None:
    """The new one does not begin before the others are stopped, and says so. What clients know holds on."""
    version(3)
    async with open_postgres(url) as old:
        talk = await Talk(old).people(2)
        conv = await talk.group(1, 2)
        version(4)
        assert "stop all servers, then start this one" in await refused(url)
        assert await talk.say(conv, 1) == 2
        epoch, horizon = old.epoch, await old.read(sync.horizon)
    async with open_postgres(url) as new:
        assert new.epoch == epoch
        assert await new.read(sync.digest, 1, horizon, 0, 10) == []
        talk = Talk(new)
        assert await talk.texts(1, conv) == [None, b"hello"]
        assert await talk.say(conv, 2) == 3
        assert [row.conv for row in await new.read(sync.digest, 1, horizon, 0, 10)] == [conv]


async def test_servers_that_start_together_after_the_stop(url: str, version: Version) -> None:
    """Those that wait for their turn are none that have to be stopped."""
    version(3)
    async with open_postgres(url):
        pass
    version(4)
    epochs: set[bytes] = set()

    async def start() -> None:
        async with open_postgres(url) as store:
            epochs.add(store.epoch)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(start)
    assert len(epochs) == 1


async def test_a_migration_does_not_wait_long_for_a_table(
    talk: Talk, url: str, monkeypatch: pytest.MonkeyPatch, added: Callable[[str], None]
) -> None:
    """All others would stand behind it. It says what to do, and has left nothing behind."""
    monkeypatch.setattr(opening, "LOCK_SECONDS", 1)
    added("ALTER TABLE account ADD COLUMN later INT NOT NULL DEFAULT 0")
    async with session(url) as other:
        await hold(other)
        assert "a long transaction holds a table" in await refused(url)
        assert await talk.store.read(accounts.find, "user1") is not None
        await other.sql("ROLLBACK")
    async with open_postgres(url):
        assert await talk.store.read(accounts.find, "user1") is not None


async def hold(other: Session) -> None:
    await other.sql("BEGIN")
    await other.sql("SELECT 1 FROM account")


async def test_a_newer_schema(url: str, version: Version) -> None:
    """A server of the version before that is started again."""
    async with open_postgres(url):
        pass
    version(2)
    assert "newer wirechat" in await refused(url)

    async def nothing(tx: Tx) -> None:
        raise AssertionError

    with pytest.raises(opening.DataError, match="newer wirechat"):
        await look(url, nothing)
