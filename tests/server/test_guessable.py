"""Passwords that everybody would try are refused, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import refused
from tests.server.rig import serving
from tools.common_passwords import hashes
from wirechat import wire
from wirechat.server.guessable import FILE, HASH_BYTES, why_guessable

ROOT = Path(__file__).resolve().parents[2]
GOOD = "correct horse"


def test_the_list_is_the_one_of_the_library() -> None:
    """Fresh, and with more of them than the 3,000 that one should know."""
    assert FILE.read_bytes() == hashes(), "run python -m tools.common_passwords"
    count = len(hashes()) // HASH_BYTES
    assert count > 3000
    for page in ("docs/threat-model.md", "docs/security/asvs.toml"):
        assert f"{count:,}" in (ROOT / page).read_text(), f"{page} has another number"


@pytest.mark.parametrize(
    "password",
    [
        "12345678",
        "iloveyou",
        "ILoveYou",
        "qwertyuiop",
        "wirechat",
        "WireChat-2026!",
        "alice.w99",
        "alice_w_1984",
        "password#1",
    ],
)
def test_what_is_tried_first(password: str) -> None:
    """In any case, and a name with decoration."""
    assert why_guessable(password, "alice.w99")


@pytest.mark.parametrize(
    "password",
    [GOOD, "aaaaaaaaz", "malice.w99", "        ", "\u00e4\u00f6\u00fc\u00df!", "63871940", "\U0001f40e\U0001f40e"],
)
def test_no_other_rule(password: str) -> None:
    """Of letters alone, of digits, of blanks: what nobody tries first is good."""
    assert why_guessable(password, "alice.w99") is None


def test_both_ends_of_the_list() -> None:
    """The search finds the first and the last."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    found = [word for word in FREQUENCY_LISTS["passwords"] if len(word) >= 8]
    assert all(why_guessable(word, "x") for word in found)


async def test_8_31_a_guessable_password_is_refused(tmp_path: Path) -> None:
    """To REGISTER and SECRET_SET, with 3000 and the reason."""
    async with serving(tmp_path) as rig:
        client = await rig.greeted()
        told = await client.ask(wire.Register(0, "alice", 1, b"12345678"), wire.Error)
        assert (told.code, told.message) == (3000, why_guessable("12345678", "alice"))
        assert await client.refused(wire.Register(0, "longhandle", 1, b"longhandle")) == 3000
        await client.ask(wire.Register(0, "alice", 1, GOOD.encode()), wire.RegisterOk)
        await client.ask(wire.Auth(0, 1, "alice", proof=GOOD.encode()), wire.AuthOk)
        assert await client.refused(wire.SecretSet(0, GOOD.encode(), b"sunshine")) == 3000
        assert await client.refused(wire.SecretSet(0, GOOD.encode(), b"alice-1999")) == 3000
        await client.ask(wire.SecretSet(0, GOOD.encode(), b"battery staple"), wire.SecretSetOk)


def test_the_operator_is_told_too(tmp_path: Path) -> None:
    """One line and status 2."""
    line = refused("user", "add", "--data", tmp_path / "data", "alice", "--password", "trustno1")
    assert line.startswith("wirechat: alice: many people have that password")
