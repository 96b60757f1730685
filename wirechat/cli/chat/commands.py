"""What /words and keys do, as calls on the client.

Rules: a deed runs on Trio, knows nothing of the screen, and returns what should be seen afterwards. Whatever a person
can get wrong raises Wrong with one line for him.
"""

from collections.abc import Awaitable, Callable

import attrs

from wirechat import wire
from wirechat.cli.chat.desk import Desk
from wirechat.client import Client, Refused
from wirechat.wire.registries import Role

__all__ = [
    *("ASKS_SERVER", "COMMANDS", "Command", "Go", "Outcome", "Quit", "Show", "Tell", "Wrong"),
    *("leave", "looking", "new_chat", "pinned", "reach", "run", "writing"),
]


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
    """Open a dialog: help, leave, members, pins, search, switch, password, devices."""

    what: str
    text: str = ""


@attrs.frozen
class Quit:
    """Leave the program."""


Outcome = Tell | Go | Show | Quit
PAGE = 200  # records in one request
PAGES_MAX = 50  # to get at one message far back
ERASE = "-"
ROLES = {"member": Role.MEMBER, "moderator": Role.MODERATOR, "admin": Role.ADMIN, "owner": Role.OWNER}
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
    if users == [desk.people.me] and not title:
        raise Wrong("that is you: /notes is where you write to yourself")
    if len(users) == 1 and not title:
        return Go(await desk.client.conversations.direct(users[0]))
    return Go(await desk.client.conversations.create_group(title or None, users))


async def writing(desk: Desk, conv: int, on: bool) -> None:
    """The person writes, or has given it up."""
    desk.client.presence.typing(conv, on)


async def looking(desk: Desk, on: bool) -> None:
    """The person looks at this device, or elsewhere."""
    desk.client.presence.active(on)


async def reach(desk: Desk, conv: int, seq: int) -> bool:
    """Fetches history until this message is here. Raises Wrong when that is too far or it is not to be seen."""
    client = desk.client
    for _ in range(PAGES_MAX):
        view = client.log(conv, newest=1, before=seq + 1)
        if seq in view.records:
            return True
        if view.low <= seq:
            raise Wrong("this message is not there any more")
        await client.history.page(conv, view.low, PAGE)
    raise Wrong("this message is too far back to be fetched in one go; page back to it")


async def pinned(desk: Desk, conv: int) -> list[tuple[wire.Pin, wire.Record]]:
    """What is pinned, the one pinned last first, with its text even when it is not on this device."""
    pins = await desk.client.history.pins(conv)
    records = {record.seq: record for record in await desk.client.history.records(conv, [pin.seq for pin in pins])}
    return [(pin, records[pin.seq]) for pin in pins if pin.seq in records]


async def _users(client: Client, handles: str) -> list[int]:
    return [await _user(client, handle) for handle in handles.replace(",", " ").split()]


async def _user(client: Client, handle: str) -> int:
    return (await _account(client, handle)).user


async def _account(client: Client, handle: str) -> wire.User:
    handle = handle.lstrip("@").lower()
    try:
        return await client.accounts.find(handle)
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


async def _notes(desk: Desk, rest: str) -> Outcome:
    return Go(await desk.client.conversations.notes())


async def _title(desk: Desk, rest: str) -> Outcome:
    if not rest:
        return Tell(_now("the title", _info(desk).title, "/title"))
    text = _wanted(rest)
    await desk.client.conversations.set_title(_conv(desk), text)
    return Tell(f"the title is “{text}” now" if text else "there is no title any more")


async def _about(desk: Desk, rest: str) -> Outcome:
    if not rest:
        return Tell(_now("the description", _info(desk).about, "/about"))
    text = _wanted(rest)
    await desk.client.conversations.set_about(_conv(desk), text)
    return Tell("the description is another one now" if text else "there is no description any more")


def _wanted(rest: str) -> str:
    """The new text: a dash alone erases, and nothing else does."""
    return "" if rest == ERASE else rest


def _now(what: str, text: str | None, command: str) -> str:
    return (
        f"{what} is “{text}”; {command} {ERASE} takes it away" if text else f"there is no {what.removeprefix('the ')}"
    )


def _info(desk: Desk) -> wire.Info:
    conversation = desk.client.conversations.get(_conv(desk))
    if conversation is None or conversation.info is None:
        raise Wrong("the server has not described this conversation yet")
    return conversation.info


async def _role(desk: Desk, rest: str) -> Outcome:
    handle, _, name = rest.partition(" ")
    role = ROLES.get(name.strip().lower())
    if role is None:
        raise Wrong(f"say whose and which: /role carol admin ({', '.join(ROLES)})")
    user = await _user(desk.client, handle)
    await desk.client.conversations.set_role(_conv(desk), user, role)
    return Tell(f"{desk.people.name(user)} is {name.strip().lower()} now")


async def _block(desk: Desk, rest: str) -> Outcome:
    if not rest:
        names = ", ".join(sorted(desk.people.name(user) for user in desk.client.account.blocked))
        return Tell(f"blocked: {names}" if names else "you have blocked nobody")
    user = await _user(desk.client, rest)
    await desk.client.account.block(user)
    return Tell(f"{desk.people.name(user)} is blocked; /unblock {rest} takes it back")


async def _unblock(desk: Desk, rest: str) -> Outcome:
    user = await _user(desk.client, rest)
    await desk.client.account.unblock(user)
    return Tell(f"{desk.people.name(user)} is not blocked any more")


async def _name(desk: Desk, rest: str) -> Outcome:
    if not rest:
        return Tell(f"you are called {desk.people.name(desk.people.me)}; /name {ERASE} goes back to your handle")
    user = await desk.client.account.set_profile(name=_wanted(rest))
    return Tell(f"you are called {user.name or user.handle} now")


async def leave(desk: Desk, conv: int) -> Outcome:
    """Leaves a group."""
    await desk.client.conversations.leave(conv)
    return Tell("you have left; what was said until now stays readable")


async def _who(desk: Desk, rest: str) -> Outcome:
    user = await _account(desk.client, rest or _handle(desk))
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
    "leave": Command("", "leave this group, after a question", _show("leave")),
    "title": Command("[TEXT]", f"the title of this group, or another one; {ERASE} erases it", _title),
    "about": Command("[TEXT]", f"the description of this group, or another one; {ERASE} erases it", _about),
    "role": Command("HANDLE ROLE", f"make somebody {', '.join(ROLES)}", _role),
    "notes": Command("", "your notes to yourself", _notes),
    "members": Command("", "show who is here", _show("members")),
    "pins": Command("", "what is pinned here", _show("pins")),
    "search": Command("WORDS", "search all messages on this device", _show("search")),
    "switch": Command("", "go to another conversation", _show("switch")),
    "who": Command("[HANDLE]", "look somebody up", _who),
    "block": Command("[HANDLE]", "block somebody; alone: whom you have blocked", _block),
    "unblock": Command("HANDLE", "take that back", _unblock),
    "name": Command("[TEXT]", f"what you are called, or are to be called; {ERASE} erases it", _name),
    "password": Command("", "change your password", _show("password")),
    "devices": Command("", "your devices; choose one to log it out", _show("devices")),
    "help": Command("", "keys and commands", _show("help")),
    "quit": Command("", "leave the program", _quit),
}
ASKS_SERVER = frozenset({"new", "add", "remove", "title", "about", "role", "notes", "who", "block", "unblock", "name"})
"""What waits for a connection."""
