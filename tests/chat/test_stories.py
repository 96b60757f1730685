"""Whole stories: keys go in, a screen comes out, a real server in between."""

from pathlib import Path

from tests.chat.rig import Person, account, play, terminal
from tests.replay.server import ServerProcess


def test_two_people_talk(server: ServerProcess, tmp_path: Path) -> None:
    """Arriving, unread, read, reply, edit, reaction, deletion: what each side did stands on the other's screen."""
    ann, ben = account(server, tmp_path, "ann", "Ann"), account(server, tmp_path, "ben", "Ben")

    async def story() -> None:
        async with Person(ben) as other, terminal(ann) as screen:
            conv = await other.do(other.client.conversations.direct, ann.user)
            sent = await other.do(other.client.messages.send, conv, "Hello Ann")
            await screen.until(lambda: "Ben" in screen.rows("list") and screen.unread == ["1"], "one unread")
            await screen.press("alt+down")
            await screen.sees("Today", "Ben", "Hello Ann")
            await screen.until(lambda: screen.unread == [], "nothing unread")

            await screen.press("escape", "r")
            await screen.until(lambda: "Replying to Ben: Hello Ann" in screen.line("banner"), "the banner")
            await screen.type("Good morning", "enter")
            await screen.sees("▎Ben: Hello Ann", "Good morning")
            await other.do(other.client.synced)
            mine = max(other.client.log(conv).records)
            assert other.client.log(conv).records[mine].ref == sent.seq
            await other.do(other.client.receipts.mark_read, conv, mine)
            await screen.sees("✓✓")

            await screen.press("up")
            assert screen.box.text == "Good morning"
            await screen.type("!", "enter")
            await screen.sees("Good morning!  edited")
            await screen.press("escape", "end", "a")
            await screen.type("tada", "enter")
            await screen.sees("🎉")
            await other.do(other.client.messages.react, conv, mine, "👍")
            await screen.sees("👍")
            await screen.press("d", "enter")
            await screen.sees("message deleted")
            await screen.misses("Good morning")
            await other.do(other.client.synced)
            assert other.client.log(conv).records[mine].content is None

    play(story())


def test_a_long_conversation_pages_back_and_is_searched(server: ServerProcess, tmp_path: Path) -> None:
    """A new device holds nothing: what is scrolled to is fetched, what was fetched is found."""
    cid, dot = account(server, tmp_path, "cid", "Cid"), account(server, tmp_path, "dot", "Dot")

    async def story() -> None:
        async with Person(dot) as other:
            conv = await other.do(other.client.conversations.create_group, "Long", [cid.user])
            for number in range(1, 251):
                handle = await other.do(other.client.messages.send_soon, conv, f"message {number} of many")
            await other.do(handle.wait)
            async with terminal(cid, jump_entries=10) as screen:
                await screen.sees("message 250 of many")
                await screen.press("escape")
                for _ in range(6):
                    await screen.press("home")
                    await screen.pilot.pause(0.2)
                await screen.until(lambda: screen.timeline_at_top(), "the beginning")
                await screen.sees("Dot started this with you", "message 1 of many")
                await screen.press("ctrl+f")
                await screen.type("many 177")
                await screen.until(lambda: "message 177 of many" in screen.rows("choices"), "a hit")
                await screen.press("enter")
                await screen.sees("message 177 of many", "message 178 of many")

    play(story())


def test_offline_start_queue_and_restart(server: ServerProcess, tmp_path: Path) -> None:
    """P2, P5: everything can be read without a server; what is written goes out once it is there again, once."""
    eve, fay = account(server, tmp_path, "eve", "Eve"), account(server, tmp_path, "fay", "Fay")

    async def story() -> None:
        async with Person(fay) as other:
            conv = await other.do(other.client.conversations.direct, eve.user)
            await other.do(other.client.messages.send, conv, "Remember the milk")
            async with terminal(eve) as screen:
                await screen.sees("Remember the milk")
            server.kill()
            async with terminal(eve) as screen:
                await screen.sees("Remember the milk")
                await screen.until(lambda: "offline" in screen.line("status"), "offline")
                await screen.type("which milk", "enter")
                await screen.type("oat milk", "enter")
                await screen.sees("which milk", "oat milk")
                await screen.until(lambda: "2 waiting to be sent" in screen.line("status"), "two waiting")
                await screen.type("/search milk", "enter")
                await screen.until(lambda: "Remember the milk" in screen.rows("choices"), "a hit")
                await screen.press("escape")
                server.start()
                await screen.until(lambda: "connected" in screen.line("status"), "connected")
                await screen.until(lambda: screen.timeline.count("✓") == 2, "two ticks")
                assert screen.timeline.count("oat milk") == 1
            await other.do(other.client.synced)
            texts = [record.content.data for record in other.client.log(conv).records.values() if record.content]
            assert texts == ["Remember the milk", "which milk", "oat milk"]

    play(story())


def test_a_group_is_made_and_left(server: ServerProcess, tmp_path: Path) -> None:
    """Commands, completion, the members, the picker; what cannot be done is said."""
    gus, hal = account(server, tmp_path, "gus", "Gus"), account(server, tmp_path, "hal", "Hal")

    async def story() -> None:
        async with Person(hal) as other, terminal(gus) as screen:
            await screen.type("/new nobody", "enter")
            await screen.until(lambda: any("nobody" in each.message for each in screen.app._notifications), "a word")
            await screen.type("/new hal: Kites", "enter")
            await screen.until(lambda: "Kites" in screen.line("head"), "the group")
            await screen.press("f2")
            await screen.until(lambda: "Hal" in screen.rows("member-rows"), "the members")
            await screen.type("hi @ha")
            await screen.until(lambda: "@hal" in screen.line("completions"), "a completion")
            await screen.press("tab", "enter")
            await screen.sees("hi @hal")
            await screen.press("ctrl+n")
            await screen.type("hal", "enter")
            await screen.until(lambda: "Hal" in screen.line("head") and "@hal" in screen.line("head"), "Hal")
            await screen.press("ctrl+k")
            await screen.type("kit", "enter")
            await screen.until(lambda: "Kites" in screen.line("head"), "back in the group")
            await screen.type("/leave", "enter")
            await screen.until(lambda: "not a member any more" in screen.line("head"), "left")
            await other.do(other.client.synced)
            assert [chat.info.title for chat in other.client.conversations.list() if chat.info.kind == 2] == ["Kites"]

    play(story())
