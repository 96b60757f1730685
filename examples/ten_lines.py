"""A bot in ten lines: answers new messages with their own words. `python examples/ten_lines.py URL HANDLE PASSWORD`"""

import sys

import trio

from wirechat.client import MessageAdded, open_client


async def main(url: str, handle: str, password: str) -> None:
    async with open_client(url, handle=handle, password=password, cache=f"{handle}.db") as client:
        await client.synced()
        async for event in client.events():
            if isinstance(event, MessageAdded) and event.record.content and event.record.sender != client.user:
                await client.messages.send(event.conv, f"You said: {event.record.content.data}", event.record.seq)


if len(sys.argv) != 4:
    print("usage: ten_lines.py URL HANDLE PASSWORD", file=sys.stderr)
    sys.exit(2)
trio.run(main, *sys.argv[1:])
