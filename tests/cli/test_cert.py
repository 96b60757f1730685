"""`wirechat cert`: TLS in the first five minutes."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest
import trio
from cryptography import x509

from tests.cli.command import refused, wirechat
from tests.server.rig import Client, serving
from wirechat import wire
from wirechat.server.listeners import tls_context


async def test_clients_that_trust_its_authority_connect(tmp_path: Path) -> None:
    """By name and by address, under the strict rules newer Pythons have."""
    assert wirechat("cert", tmp_path / "certs").status == 0
    context = ssl.create_default_context(cafile=tmp_path / "certs/ca.pem")
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    tls = tls_context(tmp_path / "certs/chain.pem", tmp_path / "certs/key.pem")
    async with serving(tmp_path / "data", tls=tls) as rig:
        for name in ("localhost", "127.0.0.1"):
            client = Client(trio.SSLStream(await rig.stream("tls"), context, server_hostname=name))
            await client.send(wire.Hello("WC", 1, 1, (), "tls"))
            await client.expect(wire.Welcome)


def test_it_says_what_to_do_next_and_keeps_the_key_close(tmp_path: Path) -> None:
    """The commands can be copied, and nobody else reads the key."""
    ended = wirechat("cert", tmp_path / "certs", "chat.example.org", "::1")
    assert f"--cert {tmp_path}/certs/chain.pem --key {tmp_path}/certs/key.pem" in ended.out
    assert f'open_client("wirechats://chat.example.org:7668", ca="{tmp_path}/certs/ca.pem"' in ended.out
    assert sorted(each.name for each in (tmp_path / "certs").iterdir()) == ["ca.pem", "chain.pem", "key.pem"]
    assert stat.S_IMODE((tmp_path / "certs/key.pem").stat().st_mode) == 0o600
    leaf = x509.load_pem_x509_certificate((tmp_path / "certs/chain.pem").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["chat.example.org", "::1"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Not even when only one of the files is there."""
    (tmp_path / "key.pem").write_text("precious")
    assert "key.pem is there already" in refused("cert", tmp_path)
    assert (tmp_path / "key.pem").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["", "a b", "-x.org", "x..org", "300.1.2.3", "x/y", "é.org", "a" * 64])
def test_a_name_that_is_none(tmp_path: Path, name: str) -> None:
    """One line."""
    assert "neither a host name nor an IP address" in refused("cert", tmp_path, "--", name)
