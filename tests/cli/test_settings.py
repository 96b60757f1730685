"""Settings: who wins, what is strict, and what a mistake is told."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from wirechat.server.config import Config
from wirechat.server.listeners import Address
from wirechat.settings import reference, schema
from wirechat.settings.errors import BadSettings
from wirechat.settings.reading import Loaded, Sources
from wirechat.settings.schema import FIELDS, Settings, variable


def load(text: str | None = None, folder: Path | None = None, flags: Any = None, **environment: str) -> Loaded:
    file = None
    if text is not None:
        assert folder is not None
        file = folder / "wirechat.toml"
        file.write_text(text)
    return Sources(file, environment, flags or {}).load()


def problems(text: str | None = None, folder: Path | None = None, flags: Any = None, **environment: str) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        load(text, folder, flags, **environment)
    assert "\n" not in str(caught.value)
    prefix = f"{folder}/"
    return [line.replace(prefix, "") for line in caught.value.problems]


def test_flags_win_over_the_environment_over_the_file_over_defaults(tmp_path: Path) -> None:
    """And the origin of each value is known."""
    text = '[log]\nlevel = "debug"\n[limits]\npage = 1\nwindow = 1\ninflight = 10\n'
    environment = {"WIRECHAT_LIMITS__PAGE": "2", "WIRECHAT_LIMITS__WINDOW": "2"}
    loaded = load(text, tmp_path, {"limits.window": 3}, **environment)
    limits = loaded.settings.limits
    assert (limits.inflight, limits.page, limits.window, limits.members) == (10, 2, 3, 1000)
    kinds = [loaded.origin(f"limits.{name}").kind for name in ("inflight", "page", "window", "members")]
    assert kinds == ["file", "environment", "flag", "default"]
    assert loaded.origin("limits.page").name == "WIRECHAT_LIMITS__PAGE"
    assert loaded.origin("limits.inflight").name == str(tmp_path / "wirechat.toml")


def test_a_list_replaces_a_list(tmp_path: Path) -> None:
    """Addresses of different origin are not mixed."""
    text = '[listen]\ntcp = ["127.0.0.1:1", "127.0.0.1:2"]\n'
    assert load(text, tmp_path, {"listen.tcp": ["[::1]:3"]}).settings.listen.tcp == (Address("::1", 3),)


def test_nothing_said_is_the_default() -> None:
    """And the core gets the same policy as without any settings."""
    assert load().settings == Settings()
    assert load().settings.config() == Config()


def test_variables_are_read_by_the_type_of_their_setting() -> None:
    """A variable is text; a list has commas."""
    settings = load(
        WIRECHAT_DATA__DIRECTORY="some where",
        WIRECHAT_LISTEN__TCP="127.0.0.1:7667, [::1]:7667,",
        WIRECHAT_LIMITS__CONNECTIONS="50",
        WIRECHAT_ACCOUNTS__OPEN_REGISTRATION="True",
        WIRECHAT_PROXY__TRUST="192.0.2.1,2001:DB8::1",
        WIRECHAT_LOG__FORMAT="json",
    ).settings
    assert settings.data.directory == Path("some where")
    assert settings.listen.tcp == (Address("127.0.0.1", 7667), Address("::1", 7667))
    assert settings.limits.connections == 50
    assert settings.accounts.open_registration is True
    assert settings.proxy.trust == ("192.0.2.1", "2001:db8::1")
    assert settings.log.format == "json"


def test_a_relative_path_starts_where_it_was_said(tmp_path: Path) -> None:
    """A service manager starts servers in another directory than an operator's shell."""
    text = '[data]\ndirectory = "data"\n[tls]\nkey = "/keys/key.pem"\n'
    settings = load(text, tmp_path, {"tls.cert": "chain.pem"}).settings
    assert settings.data.directory == tmp_path / "data"
    assert (settings.tls.cert, settings.tls.key) == (Path("chain.pem"), Path("/keys/key.pem"))


STRICT = {
    "limits.connections = 5.0": "limits.connections: 5.0 is not a whole number",
    "limits.connections = true": "limits.connections: true is not a whole number",
    'limits.connections = "5"': 'limits.connections: "5" is not a whole number',
    "limits.connections = 0": "limits.connections: 0 is not between 1 and 1000000 connections",
    "limits.text_bytes = 16385": "limits.text_bytes: 16385 is not between 256 and 16384 bytes",
    "accounts.open_registration = 1": "accounts.open_registration: 1 is neither true nor false",
    'accounts.open_registration = "true"': 'accounts.open_registration: "true" is neither true nor false',
    "data.directory = 5": "data.directory: 5 is not text; put it in quotes",
    'data.directory = ""': 'data.directory: "" is not a path',
    'data.directory = "a\\u0000b"': 'data.directory: "a\\u0000b" is not a path',
    'listen.tcp = "127.0.0.1:1"': 'listen.tcp: "127.0.0.1:1" is not a list; write ["127.0.0.1:1"]',
    'listen.tcp = ["70000"]': 'listen.tcp[0]: "70000" is not host:port',
    'listen.tcp = ["127.0.0.1:1", "h:70000"]': 'listen.tcp[1]: "h:70000" has a port above 65535',
    "listen.tcp = [7667]": "listen.tcp[0]: 7667 is not text; put it in quotes",
    'listen.tcp = ["h:٣"]': 'listen.tcp[0]: "h:٣" is not host:port',
    'listen.tcp = ["a b:1"]': 'listen.tcp[0]: "a b:1" is not host:port',
    "listen.tcp = {}": "listen.tcp: {} is not a list; write [{}]",
    'proxy.trust = ["nginx"]': 'proxy.trust[0]: "nginx" is not an IP address',
    'web.origins = ["https://chat.example.org/"]': 'web.origins[0]: "https://chat.example.org/" is not an origin; '
    "write it like https://chat.example.org, without a path",
    'web.origins = ["*"]': 'web.origins[0]: "*" is not an origin; '
    "write it like https://chat.example.org, without a path",
    'log.level = "loud"': 'log.level: "loud" is none of debug, info, warning, error',
    "log.level = []": "log.level: [] is none of debug, info, warning, error",
    "log.level = 1979-05-27": 'log.level: "1979-05-27" is none of debug, info, warning, error',
    "limits.page = 1979-05-27": 'limits.page: "1979-05-27" is not a whole number',
    "listen = 5": "listen: is a section; write [listen] and its keys below",
    'listen = "tcp"': "listen: is a section; write [listen] and its keys below",
    "[[listen]]": "listen: is a section; write [listen] and its keys below",
    "listen.tpc = []": "listen: there is no key tpc; did you mean tcp?",
    "listen.zzz = []": "listen: there is no key zzz",
    "lisen.tcp = []": "there is no section lisen; did you mean listen?",
    "tcp = []": "there is no section tcp",
    'listen."a.b" = 1': 'listen: there is no key "a.b"',
    '"a.b" = 1': 'there is no section "a.b"',
    '["data.directory"]': 'there is no section "data.directory"',
    '"a\\nb" = 1': 'there is no section "a\\nb"',
    f"x = {'[' * 5000}": "it nests too deeply",
    f"limits.page = {'9' * 5000}": "a number in it has too many digits",
    "listen.tcp.more = []": 'listen.tcp: {"more": []} is not a list; write [{"more": []}]',
    "a b": "Expected '=' after a key in a key/value pair (at line 1, column 3)",
    "\nx = [": "Invalid value (at end of document)",
    "log.level = 'info'\nlog.level = 'info'\n": "Cannot overwrite a value (at line 2, column 19)",
}


@pytest.mark.parametrize("text", STRICT, ids=lambda text: text[:40])
def test_a_mistake_in_the_file_is_named_with_its_path(text: str) -> None:
    """TOML has types: nothing is guessed, and the line says what is wrong and where. Of a long value only the beginning
    is shown, so the folder has a short name.
    """
    with TemporaryDirectory() as folder:
        (line,) = problems(text, Path(folder))
    assert line == f"wirechat.toml: {STRICT[text]}"


VARIABLES = {
    ("WIRECHAT_LISTEN__TCP", "127.0.0.1:1,70000"): 'WIRECHAT_LISTEN__TCP: "70000" is not host:port',
    ("WIRECHAT_LIMITS__PAGE", "many"): 'WIRECHAT_LIMITS__PAGE: "many" is not a whole number',
    ("WIRECHAT_LIMITS__PAGE", "9" * 30): f'WIRECHAT_LIMITS__PAGE: "{"9" * 30}" is not a whole number',
    ("WIRECHAT_LIMITS__PAGE", "201"): "WIRECHAT_LIMITS__PAGE: 201 is not between 1 and 200 records",
    ("WIRECHAT_ACCOUNTS__CLEAR_PASSWORDS", "maybe"): (
        'WIRECHAT_ACCOUNTS__CLEAR_PASSWORDS: "maybe" is neither true nor false'
    ),
    ("WIRECHAT_DATA__DIRECTORY", ""): 'WIRECHAT_DATA__DIRECTORY: "" is not a path',
    ("WIRECHAT_LISTEN__TPC", "x"): "WIRECHAT_LISTEN__TPC: no such setting; did you mean WIRECHAT_LISTEN__TCP?",
    ("WIRECHAT_LISTEN_TCP", "x"): (
        "WIRECHAT_LISTEN_TCP: write WIRECHAT_LISTEN__TCP, with two underscores between section and key"
    ),
}


@pytest.mark.parametrize("said", VARIABLES, ids=lambda said: "=".join(said)[:40])
def test_a_mistake_in_the_environment_names_the_variable(said: tuple[str, str]) -> None:
    """It would be looked for in the file otherwise."""
    name, value = said
    assert problems(**{name: value}) == [VARIABLES[said]]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("WIRECHAT_DATA", "WIRECHAT_DATA__DIRECTORY"), ("WIRECHAT_TRUST_PROXY", "WIRECHAT_PROXY__TRUST")],
)
def test_a_variable_named_like_a_flag_is_told(name: str, meant: str) -> None:
    """It would be ignored, and the server would write somewhere else."""
    assert problems(**{name: "/srv"}) == [f"{name}: no such setting; write {meant}"]


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ({"tcp": "h:1", "tls": "h:1"}, ["listen.tcp and listen.tls cannot share h:1; give each an address of its own"]),
        (
            {"ws": "h:1", "wss": "h:1", "tcp": "h:2"},
            ["listen.ws and listen.wss cannot share h:1; give each an address of its own"],
        ),
        ({"ws": "h:1", "http": "h:1"}, []),
        ({"wss": "h:1", "http": "h:1"}, []),
        ({"tcp": "h:0", "tls": "h:0"}, []),
        ({"tcp": "h:1,h:1"}, ["listen.tcp and listen.tcp cannot share h:1; give each an address of its own"]),
        (
            {"tcp": "h:1", "http": "h:1"},
            ["listen.tcp and listen.http cannot share h:1; give each an address of its own"],
        ),
    ],
)
def test_one_address_for_two_listeners(listen: dict[str, str], told: list[str]) -> None:
    """Only HTTP and WebSocket find out by themselves who speaks; port 0 is another one each time."""
    said = {f"WIRECHAT_LISTEN__{name.upper()}": address for name, address in listen.items()}
    assert [line for line in load(**said).settings.lacks() if "share" in line] == told


def test_variables_that_others_make_for_us_are_left_alone() -> None:
    """Kubernetes sets these for a service of our name."""
    load(WIRECHAT_PORT="tcp://10.0.0.1:7667", WIRECHAT_SERVICE_HOST="10.0.0.1", WIRECHAT_CONFIG="x", HOME="/")


def test_a_mistake_in_a_flag_names_the_flag() -> None:
    """One line for a command."""
    assert problems(flags={"listen.tcp": ["nowhere"]}) == ['--tcp: "nowhere" is not host:port']


def test_all_mistakes_are_found_at_once(tmp_path: Path) -> None:
    """`config check` tells all, other commands the first and how many more."""
    found = problems("limits.page = 0\nlog.level = 1\n", tmp_path, WIRECHAT_LIMITS__WINDOW="x")
    assert len(found) == 3
    assert str(BadSettings(*found)).endswith("(and 2 more: see wirechat config check)")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A directory, nothing, no text."""
    (tmp_path / "latin").write_bytes(b"[log]\nlevel = 'caf\xe9'\n")
    for name, reason in ((".", "Is a directory"), ("no", "No such file"), ("latin", "is not UTF-8")):
        with pytest.raises(BadSettings, match=reason):
            Sources(tmp_path / name, {}, {}).load()


def test_the_generated_file_says_what_holds_anyway(tmp_path: Path) -> None:
    """Everything in it is the default but where to begin, and every line that is commented out can be used."""
    text = reference.default_toml()
    settings = load(text, tmp_path).settings
    assert settings.data.directory == tmp_path / "data"
    assert settings.listen.tcp == (Address("127.0.0.1", 7667),)
    assert settings.lacks() == []
    assert settings.limits == Settings().limits
    lines = [line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in text.splitlines()]
    full = load("\n".join(lines), tmp_path)
    assert set(full.origins) == set(FIELDS)
    different = {path for path in FIELDS if full.settings.value(path) != Settings().value(path)}
    assert different == {path for path in FIELDS if schema.about(path).example}


@pytest.mark.parametrize("path", FIELDS)
def test_every_setting_is_in_the_reference(path: str) -> None:
    """With its variable, and a meaning that is a sentence."""
    section, key = path.split(".")
    _, _, page = reference.markdown().partition(f"## [{section}]")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{key}`"))
    assert f"`{variable(path)}`" in row
    assert row.count("|") == 5
    assert schema.about(path).meaning.endswith(".")


CLUSTER = {"store.url": "postgresql://h/x", "bus.url": "nats://h"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({}, "say where to keep the data"),
        ({**CLUSTER, "data.directory": "x"}, "two places for the data"),
        ({"bus.url": "nats://h", "data.directory": "x"}, "bus.url (--bus) needs store.url"),
        ({"cluster.workers": "2", "data.directory": "x"}, "cluster.workers (--workers) needs store.url and bus.url"),
        ({"cluster.workers": "2", "store.url": "postgresql://h/x"}, "needs store.url and bus.url"),
        ({**CLUSTER, "cluster.workers": "2"}, None),
        ({"store.url": "postgres:///x?host=/run/postgresql"}, None),
        ({"store.url": "postgresql://h1:5432,h2:5432/x"}, None),
    ],
)
def test_what_a_cluster_needs(flags: dict[str, str], said: str | None) -> None:
    """One place for the data; a bus between those that share it; both for several workers."""
    lines = load(flags={**flags, "listen.tcp": ["127.0.0.1:1"]}).settings.lacks()
    assert [said in line for line in lines] == [True] if said else not lines


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://alice@h/x", "postgresql://alice@h/x"),
        ("postgresql://alice:hush@h/x", "postgresql://alice:***@h/x"),
        (
            "postgresql://alice:hu@sh@h/x?user=bob&password=hush&a=b",
            "postgresql://alice:***@h/x?user=bob&password=***&a=b",
        ),
        ("postgres://h/x?sslpassword=hush", "postgres://h/x?sslpassword=***"),
    ],
)
def test_a_password_of_the_database_is_not_shown(url: str, shown: str) -> None:
    """Wherever it stands."""
    loaded = load(WIRECHAT_STORE__URL=url).settings.store.url
    assert loaded is not None
    assert loaded.text == url
    assert (str(loaded), repr(loaded)) == (shown, f"StoreUrl({shown!r})")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://h", "nats://h"),
        ("tls://alice:hush@h:1,nats://hush@[::1]", "tls://alice:***@h:1,nats://***@[::1]"),
        ("nats://alice:hu%40sh@h", "nats://alice:***@h"),
        ("nats://:hush@h", "nats://:***@h"),
    ],
)
def test_a_password_of_the_bus_is_not_shown(url: str, shown: str) -> None:
    """A name alone is a token."""
    loaded = load(WIRECHAT_BUS__URL=url).settings.bus.url
    assert loaded is not None
    assert loaded.text == url
    assert (str(loaded), repr(loaded)) == (shown, f"BusUrl({shown!r})")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("store.url", "hush"),
        ("store.url", "mysql://alice:hush@h/x"),
        ("store.url", "postgresql://alice:hush@h:hush/x"),
        ("bus.url", "nats://alice:hush@h:hush"),
        ("bus.url", "nats://alice:hu,sh@h"),
        ("bus.url", "http://hush@h"),
    ],
)
def test_a_wrong_address_is_not_shown_either(path: str, text: str, tmp_path: Path) -> None:
    """There may be a password in it."""
    section, name = path.split(".")
    for told in (problems(f'[{section}]\n{name} = "{text}"', tmp_path), problems(flags={path: text})):
        assert len(told) == 1
        assert "write it like" in told[0]
        assert "hush" not in told[0]
    (line,) = problems(f'[{section}]\n{name} = ["{text}"]', tmp_path)
    assert line.endswith("is not text; put it in quotes")


def test_a_prefix_is_a_subject_of_nats() -> None:
    """Without what would mean more."""
    assert load(WIRECHAT_BUS__PREFIX="team-1.chat_2").settings.bus.prefix == "team-1.chat_2"
    for text in ("", "a..b", "a.*", ">", "a b", "a."):
        assert "is not a prefix" in problems(WIRECHAT_BUS__PREFIX=text)[0]


def test_each_worker_serves_http_at_a_port_of_its_own() -> None:
    """The first at that of listen.http; what a reload reads is the same."""
    flags = {**CLUSTER, "cluster.workers": "3", "listen.http": ["127.0.0.1:8000", "127.0.0.1:0"]}
    for worker in range(3):
        settings = Sources(None, {}, flags, worker).load().settings
        assert settings.listen.http == (Address("127.0.0.1", 8000 + worker), Address("127.0.0.1", 0))
