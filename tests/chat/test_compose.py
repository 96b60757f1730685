"""What is typed, and how it may go on."""

import pytest

from wirechat.cli.chat.compose import Typed, completions, mentioned, parse

PEOPLE = [("bob", "Bob Builder"), ("bobby", "Roberta"), ("carol", "Carol")]
COMMANDS = [("members", "who is here"), ("me", "about me"), ("new", "begin")]
EMOJI = {"tada": "🎉", "tea": "🍵"}


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        (" hello \n", Typed("hello")),
        ("/new bob: Tea ", Typed("bob: Tea", "new")),
        ("/HELP", Typed("", "help")),
        ("//etc/hosts", Typed("/etc/hosts")),
        ("1/2", Typed("1/2")),
        ("", Typed("")),
    ],
)
def test_a_slash_makes_a_command(text: str, typed: Typed) -> None:
    """Two make a message that begins with one."""
    assert parse(text) == typed


def test_who_is_meant() -> None:
    """Known handles in their order, once each; a full stop ends the sentence, an address is no mention."""
    handles = {"bob": 8, "carol": 9, "d.e-f": 10}
    assert mentioned("@carol and @Bob. @bob? x@carol.org @dan @d.e-f.", handles) == (9, 8, 10)


def found(before: str) -> list[tuple[str, int]]:
    return [(each.text, each.replaces) for each in completions(before, PEOPLE, COMMANDS, EMOJI)]


def test_completions() -> None:
    """People by handle or name, emoji by a part of theirs, commands only at the beginning."""
    assert found("hi @bo") == [("@bob ", 3), ("@bobby ", 3)]
    assert found("hi (@rob") == [("@bobby ", 4)]
    assert found("hi @") == [("@bob ", 1), ("@bobby ", 1), ("@carol ", 1)]
    assert found("x@bo") == []
    assert found("/m") == [("/members ", 2), ("/me ", 2)]
    assert found("say /m") == []
    assert found("cheers :ta") == [("🎉 ", 3)]
    assert found("at 12:ta") == []
    assert found("nothing") == []
