"""Lets the conformance runner lead this client: `wirechat conform client -- python examples/conform_driver.py`

docs/conformance.md says what each command means. A driver for another library looks much the same.
"""

import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from wirechat import wire
from wirechat.client import Client, ClientError, LoginFailed, Refused, Sent, open_client
from wirechat.wire.registries import ContentType, EntryKind

JUMP_ENTRIES = 1000


class Driver:
    def __init__(self, client: Client, nursery: trio.Nursery) -> None:
        self.client = client
        self.nursery = nursery
        self.watched: list[int] = []

    async def listen(self) -> None:
        """Each command has a task of its own: sending waits for the server, and other commands do not."""
        async for line in trio.wrap_file(sys.stdin):
            command = json.loads(line)
            self.nursery.start_soon(self.obey, command.pop("id"), command.pop("do"), command)

    async def obey(self, number: int, do: str, fields: dict) -> None:
        action = getattr(self, f"do_{do}", None)
        try:
            answer = {"error": "unknown"} if action is None else await action(number, **fields)
        except ClientError as error:
            answer = {"error": str(error)}
        say({"id": number, **(answer or {})})

    def later(self, number: int, action: Callable[[], Awaitable[Sent]]) -> None:
        """The outcome is a line of its own: it may take as long as the network likes."""
        self.nursery.start_soon(self.outcome, number, action)

    async def outcome(self, number: int, action: Callable[[], Awaitable[Sent]]) -> None:
        try:
            sent = await action()
        except ClientError as error:
            say({"failed": number, "code": error.code})
        else:
            say({"sent": number, "seq": sent.seq})

    async def do_send(self, number: int, conv: int, text: str, reply: int | None = None) -> None:
        handle = await self.client.messages.send_soon(conv, text, reply)
        self.later(number, handle.wait)

    async def do_edit(self, number: int, conv: int, seq: int, text: str) -> None:
        self.later(number, lambda: self.client.messages.edit(conv, seq, text))

    async def do_delete(self, number: int, conv: int, seq: int) -> None:
        self.later(number, lambda: self.client.messages.delete(conv, seq))

    async def do_react(self, number: int, conv: int, seq: int, emoji: str | None) -> None:
        self.later(number, lambda: self.client.messages.react(conv, seq, emoji))

    async def do_read(self, number: int, conv: int, seq: int) -> None:
        self.nursery.start_soon(self.read, conv, seq)

    async def read(self, conv: int, seq: int) -> None:
        try:
            await self.client.receipts.mark_read(conv, seq)
        except Refused as error:
            print(error, file=sys.stderr)

    async def do_hide(self, number: int, conv: int, seq: int) -> None:
        await self.client.account.hide(conv, [seq])

    async def do_older(self, number: int, conv: int) -> None:
        self.nursery.start_soon(self.older, conv)

    async def older(self, conv: int) -> None:
        await self.client.synced()
        await self.client.history.page(conv, self.client.log(conv).low)

    async def do_watch(self, number: int, users: list[int]) -> None:
        self.watched = users
        self.nursery.start_soon(self.client.presence.watch, users)

    async def do_show(self, number: int, conv: int) -> dict:
        if self.client.conversations.get(conv) is None:
            return {"messages": None}
        log = self.client.log(conv)
        return {
            "messages": [shown(record) for record in log.records.values()],
            "receipts": {user: [mark.delivered, mark.read] for user, mark in log.marks.items()},
            "typing": list(self.client.presence.typers(conv)),
        }

    async def do_list(self, number: int) -> dict:
        statuses = [self.client.presence.get(user) for user in self.watched]
        return {
            "conversations": [each.conv for each in self.client.conversations.list()],
            "blocked": sorted(self.client.account.blocked),
            "online": [status.user for status in statuses if status is not None and status.online],
        }

    async def do_quit(self, number: int) -> None:
        self.nursery.cancel_scope.cancel()


def shown(record: wire.Record) -> dict:
    """One line of a conversation."""
    content = record.content if record.kind == EntryKind.MSG else None
    return {
        "seq": record.seq,
        "kind": record.kind,
        "sender": record.sender,
        "text": content.data if content is not None and content.type == ContentType.TEXT else None,
        "edited": record.edited is not None,
        "reply": record.ref,
        "mentions": list(record.users or ()),
        "reactions": {str(each.user): each.emoji for each in record.reactions or ()},
        "pinned": record.pinned is not None,
        "forwarded": None if record.origin is None else record.origin.user,
    }


def say(line: dict) -> None:
    print(json.dumps(line), flush=True)


async def main() -> None:
    told = {name: os.environ.get(f"WIRECHAT_{name}") or None for name in ("HANDLE", "PASSWORD", "DEVICE", "KEY")}
    async with (
        open_client(
            os.environ["WIRECHAT_URL"],
            handle=told["HANDLE"],
            password=told["PASSWORD"],
            device=None if told["DEVICE"] is None else int(told["DEVICE"]),
            device_key=None if told["KEY"] is None else bytes.fromhex(told["KEY"]),
            cache=Path(os.environ["WIRECHAT_STATE"]) / "cache.db",
            jump_entries=JUMP_ENTRIES,
        ) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(Driver(client, nursery).listen)


try:
    trio.run(main)
except* LoginFailed as failures:
    sys.exit(str(failures.exceptions[0]))
