"""Makes docs/images/chat.svg: `python docs/images/chat.py`. People who talk by a script, and the program.

Rules: nothing on the picture is painted by hand; the server's clock alone is scripted, so that the day has passed.
"""

import asyncio
import datetime
import random
import threading
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import trio

from wirechat.cli.chat.app import ChatApp
from wirechat.cli.chat.guest import Guest
from wirechat.client import Client, Event, open_client, register
from wirechat.server.app import Server
from wirechat.server.config import Config
from wirechat.server.listeners import Address, Listener
from wirechat.store.database import open_sqlite
from wirechat.world import REAL

PICTURE = Path(__file__).with_suffix(".svg")
SEED = 1  # of the user ids, and so of their colours
SIZE = (108, 34)
PEOPLE = {"alice": "Alice", "bob": "Bob", "carol": "Carol", "hatter": "The Hatter", "dora": "Dora"}
RELEASE = [
    ("-1 16:40", "bob", "The tests ran all night: 40,000 seeds, and not one message lost."),
    ("-1 16:41", "bob", "I even pulled the plug twice 🔌"),
    ("-1 16:44", "carol", "Then we can tag it. @alice, are the notes ready?"),
    ("0 09:02", "alice", "Nearly. They say what changed and how to go back:\nhttps://chat.example.org/notes/0.2"),
    ("0 09:05", "dora", "Read them, they are good. One typo in the second line."),
    ("0 09:06", "alice", "Thanks, fixed!"),
    ("0 09:31", "bob", "Restarting the server for the update now. Watch your status line."),
    ("0 09:32", "bob", "…and back. Did anybody lose anything?"),
    ("0 09:33", "alice", "Two messages waited for it and went out by themselves. Nothing lost."),
]
OTHERS = [
    (
        "Garden",
        ["dora", "alice", "carol"],
        [("-2 19:30", "dora", "The tomatoes are coming"), ("-2 19:41", "alice", "Send a picture!")],
    ),
    ("Book club", ["carol", "alice", "bob"], [("-1 12:10", "carol", "Next: chapters 3 and 4")]),
    (None, ["bob", "alice"], [("-1 18:02", "bob", "See you tomorrow"), ("-1 18:03", "alice", "See you 👋")]),
    ("Tea party", ["hatter", "alice", "dora"], [("0 08:15", "hatter", "No room! @alice may come, though 🍵")]),
    (
        None,
        ["carol", "alice"],
        [("0 08:50", "carol", "Lunch at one?"), ("0 08:51", "carol", "The place by the river")],
    ),
]


class Clock:
    """What the server takes for the time."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.set("-1 09:00")

    def set(self, when: str) -> None:
        """`-1 16:40`: yesterday at this time here."""
        day, time = when.split()
        date = datetime.date.today() + datetime.timedelta(days=int(day))
        at = datetime.datetime.combine(date, datetime.time.fromisoformat(time)).astimezone()
        self.now_ms = int(at.timestamp() * 1000)


class World:
    """The server and everybody but Alice, on Trio in a thread of their own."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.devices: dict[str, int] = {}
        self._conv = 0
        self.url = ""
        self._directory = directory
        self._ready, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    def __enter__(self) -> "World":
        self._thread.start()
        self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    async def _run(self) -> None:
        world = attrs.evolve(REAL, now_ms=lambda: self.clock.now_ms, random_bytes=random.Random(SEED).randbytes)
        async with open_sqlite(self._directory / "data") as store, trio.open_nursery() as nursery:
            listener = Listener("tcp", Address("127.0.0.1", 0))
            self.url = listener.url
            nursery.start_soon(Server(Config(), world, store).run, [listener], trio.Event())
            async with AsyncExitStack() as stack:
                clients = {handle: await stack.enter_async_context(await self._person(handle)) for handle in PEOPLE}
                await self._talk(clients)
                self._ready.set()
                while not self._over.is_set():
                    clients["dora"].presence.typing(self._conv)
                    await trio.sleep(0.5)
            nursery.cancel_scope.cancel()

    async def _person(self, handle: str) -> AbstractAsyncContextManager[Client]:
        made = await register(self.url, handle, device_key=key(handle), name=PEOPLE[handle])
        assert made.device is not None
        self.devices[handle] = made.device
        return open_client(self.url, handle=handle, device_key=key(handle), device=made.device)

    async def _talk(self, clients: dict[str, Client]) -> None:
        for title, members, lines in OTHERS:
            self.clock.set(lines[0][0])
            conv = await start(clients, title, members)
            seqs = await self._say(clients, conv, lines)
            if lines[-1][1] == "alice":
                await clients["alice"].receipts.mark_read(conv, seqs[-1])
        self.clock.set("0 08:30")
        notes = await clients["alice"].conversations.notes()
        await self._say(clients, notes, [("0 08:30", "alice", "Bring the cake at five")])
        await self._release(clients)

    async def _say(self, clients: dict[str, Client], conv: int, lines: list[tuple[str, str, str]]) -> list[int]:
        seqs = []
        for when, who, text in lines:
            self.clock.set(when)
            mentions = [clients[handle].user for handle in PEOPLE if f"@{handle}" in text]
            seqs.append((await clients[who].messages.send(conv, text, mentions=mentions)).seq)
        return seqs

    async def _release(self, clients: dict[str, Client]) -> None:
        self.clock.set("-1 16:30")
        conv = self._conv = await start(clients, "Release 0.2", ["bob", "alice", "carol", "dora"])
        seqs = await self._say(clients, conv, RELEASE)
        self.clock.set("0 09:34")
        answer = await clients["carol"].messages.send(conv, "Same here. Tagged it ✨", seqs[-2])
        await clients["alice"].messages.edit(conv, seqs[5], "Thanks, fixed, and one more that I found!")
        for who, seq, emoji in (
            ("alice", 0, "🎉"),
            ("carol", 0, "🎉"),
            ("dora", 1, "😂"),
            ("bob", 8, "👍"),
            ("dora", 8, "👍"),
        ):
            await clients[who].messages.react(conv, seqs[seq], emoji)
        await clients["bob"].messages.pin(conv, seqs[3])
        for who in ("bob", "carol", "dora"):
            await clients[who].synced()
            await clients[who].receipts.mark_read(conv, answer.seq)
        await clients["alice"].synced()
        await clients["alice"].receipts.mark_read(conv, answer.seq)


def key(handle: str) -> bytes:
    return handle.encode().ljust(32)


async def start(clients: dict[str, Client], title: str | None, members: list[str]) -> int:
    """A conversation of these people, made by the first."""
    users = [clients[each].user for each in members[1:]]
    conversations = clients[members[0]].conversations
    return await (conversations.direct(users[0]) if title is None else conversations.create_group(title, users))


async def picture(world: World) -> None:
    """Alice's screen."""
    events: asyncio.Queue[Event] = asyncio.Queue()
    guest = Guest(
        partial(open_client, world.url, handle="alice", device_key=key("alice"), device=world.devices["alice"]),
        events.put_nowait,
    )
    client = await guest.start()
    await guest.call(client.synced)
    app = ChatApp(client, guest, events)
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(20):
            await pilot.pause(0.1)
        await pilot.press(*"Wonderful. Party at ")
        await pilot.pause(0.3)
        app.save_screenshot(str(PICTURE))
    await guest.stop()


if __name__ == "__main__":
    with TemporaryDirectory() as directory, World(Path(directory)) as world:
        asyncio.run(picture(world))
    print(PICTURE)
