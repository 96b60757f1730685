"""What /words and keys do, as calls on the client.

Rules: a deed runs on Trio, knows nothing of the screen, and returns what should be seen afterwards. Whatever a person
can get wrong raises Wrong with one line for him.
"""

from collections.abc import Awaitable, Callable

import attrs

from wirechat.cli.chat.desk import Desk
from wirechat.client import Client, Refused

__all__ = ["COMMANDS", "Command", "Go", "Outcome", "Quit", "Show", "Tell", "Wrong", "new_chat", "run"]


class Wrong(Exception):
    """What was asked for cannot be done; the text says why and what to do."""


@attrs.frozen
class Tell:
    """Say this."""

    text: str


@attrs.frozen
class Go:
    """Open this conversation."""

    conv: int


@attrs.frozen
class Show:
    """Open a dialog: help, members, search, new, switch."""

    what: str
    text: str = ""


@attrs.frozen
class Quit:
    """Leave the program."""


Outcome = Tell | Go | Show | Quit
Deed = Callable[[Desk, str], Awaitable[Outcome]]


@attrs.frozen
class Command:
    """One /word. `usage` shows what follows it."""

    usage: str
    about: str
    deed: Deed


async def run(desk: Desk, name: str, rest: str) -> Outcome:
    """Does what /name says. Raises Wrong, ClientError."""
    command = COMMANDS.get(name)
    if command is None:
        raise Wrong(f"there is no /{name}; /help lists what there is")
    return await command.deed(desk, rest)


async def new_chat(desk: Desk, rest: str) -> Outcome:
    """`bob`: the conversation with Bob; `bob carol: Tea`: a group with a title."""
    people, _, title = rest.partition(":")
    users = await _users(desk.client, people)
    title = title.strip()
    if not users and not title:
        raise Wrong("say with whom: /new bob, or for a group /new bob carol: Tea party")
    if len(users) == 1 and not title:
        return Go(await desk.client.conversations.direct(users[0]))
    return Go(await desk.client.conversations.create_group(title or None, users))


async def _users(client: Client, handles: str) -> list[int]:
    return [await _user(client, handle) for handle in handles.replace(",", " ").split()]


async def _user(client: Client, handle: str) -> int:
    handle = handle.lstrip("@").lower()
    try:
        return (await client.accounts.find(handle)).user
    except Refused:
        raise Wrong(f"there is nobody called {handle}") from None


def _conv(desk: Desk) -> int:
    if desk.conv is None:
        raise Wrong("open a conversation first")
    return desk.conv


async def _add(desk: Desk, rest: str) -> Outcome:
    users = await _users(desk.client, rest)
    if not users:
        raise Wrong("say whom: /add carol")
    await desk.client.conversations.add(_conv(desk), users)
    return Tell(f"{desk.people.names(users)} can read along from here on")


async def _remove(desk: Desk, rest: str) -> Outcome:
    if not rest:
        raise Wrong("say whom: /remove carol")
    user = await _user(desk.client, rest)
    await desk.client.conversations.remove(_conv(desk), user)
    return Tell(f"{desk.people.name(user)} is not a member any more")


async def _leave(desk: Desk, rest: str) -> Outcome:
    await desk.client.conversations.leave(_conv(desk))
    return Tell("you have left; what was said until now stays readable")


async def _who(desk: Desk, rest: str) -> Outcome:
    user = await desk.client.accounts.find(rest.lstrip("@").lower() or _handle(desk))
    return Tell(f"{user.name or user.handle} (@{user.handle})")


def _handle(desk: Desk) -> str:
    return desk.people.handle(desk.people.me) or ""


def _show(what: str) -> Deed:
    async def show(desk: Desk, rest: str) -> Outcome:
        return Show(what, rest)

    return show


async def _quit(desk: Desk, rest: str) -> Outcome:
    return Quit()


COMMANDS: dict[str, Command] = {
    "new": Command("HANDLE… [: TITLE]", "talk to somebody, or make a group", new_chat),
    "add": Command("HANDLE…", "add people to this group", _add),
    "remove": Command("HANDLE", "remove somebody from this group", _remove),
    "leave": Command("", "leave this group", _leave),
    "members": Command("", "show who is here", _show("members")),
    "search": Command("WORDS", "search all messages on this device", _show("search")),
    "switch": Command("", "go to another conversation", _show("switch")),
    "who": Command("[HANDLE]", "look somebody up", _who),
    "help": Command("", "keys and commands", _show("help")),
    "quit": Command("", "leave the program", _quit),
}
