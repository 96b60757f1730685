"""Whole stories: keys go in, a screen comes out, a real server in between."""

from pathlib import Path

from tests.chat.rig import Person, account, play, terminal
from tests.replay.server import ServerProcess
from wirechat.client import Client


def test_two_people_talk(server: ServerProcess, tmp_path: Path) -> None:
    """Arriving, unread, read, reply, edit, reaction, deletion: what each side did stands on the other's screen.

    What looks like Textual's own markup is text like any other (P10).
    """
    ann, ben = account(server, tmp_path, "ann", "Ann"), account(server, tmp_path, "ben", "Ben")

    async def story() -> None:
        async with Person(ben) as other, terminal(ann) as screen:
            conv = await other.do(other.client.conversations.direct, ann.user)
            sent = await other.do(other.client.messages.send, conv, "Hello Ann [/b] [@click=quit]")
            await screen.until(lambda: "Ben" in screen.rows("list") and screen.unread == ["1"], "one unread")
            await screen.press("alt+down")
            await screen.sees("Today", "Ben", "Hello Ann [/b] [@click=quit]")
            await screen.until(lambda: screen.unread == [], "nothing unread")

            await screen.press("escape", "r")
            await screen.until(
                lambda: "Replying to Ben: Hello Ann [/b] [@click=quit]" in screen.line("banner"), "the banner"
            )
            await screen.type("[/i] Good morning", "enter")
            await screen.sees("▎Ben: Hello Ann", "[/i] Good morning")
            await other.do(other.client.synced)
            mine = max(other.client.log(conv).records)
            assert other.client.log(conv).records[mine].ref == sent.seq
            await other.do(other.client.receipts.mark_read, conv, mine)
            await screen.sees("✓✓")

            await screen.press("up")
            assert screen.box.text == "[/i] Good morning"
            await screen.type("!", "enter")
            await screen.sees("Good morning!  edited")
            await screen.press("escape", "end", "a")
            await screen.type("tada", "enter")
            await screen.sees("🎉")
            await other.do(other.client.messages.react, conv, mine, "👍")
            await screen.sees("👍")
            await screen.press("d", "down", "enter")
            await screen.sees("message deleted")
            await screen.misses("Good morning")
            await other.do(other.client.synced)
            assert other.client.log(conv).records[mine].content is None

    play(story())


def test_pins_forwards_and_mentions(server: ServerProcess, tmp_path: Path) -> None:
    """What is pinned is found again, what is forwarded says who wrote it, who is mentioned learns it in the list."""
    ida, jim = account(server, tmp_path, "ida", "Ida"), account(server, tmp_path, "jim", "Jim")

    async def story() -> None:
        async with Person(jim) as other, terminal(ida) as screen:
            club = await other.do(other.client.conversations.create_group, "Club", [ida.user])
            direct = await other.do(other.client.conversations.direct, ida.user)
            sent = await other.do(other.client.messages.send, club, "Saturday at noon")
            await screen.until(lambda: "Club" in screen.rows("list"), "the group")
            await screen.press("ctrl+k")
            await screen.type("club", "enter")
            await other.do(other.client.messages.pin, club, sent.seq)
            await screen.sees("📌 pinned", "Saturday at noon")
            await screen.type("/pins", "enter")
            await screen.until(lambda: "Jim: Saturday at noon" in screen.rows("choices"), "the pin")
            await screen.press("escape", "escape", "f")
            await screen.type("jim", "enter")
            await screen.press("ctrl+k")
            await screen.type("jim", "enter")
            await screen.sees("↪ forwarded from Jim", "Saturday at noon")
            await screen.press("escape", "end", "p")
            await screen.sees("📌 pinned")
            await screen.press("p")
            await screen.misses("📌 pinned")
            await other.do(other.client.synced)
            assert [record.origin.user for record in other.client.log(direct).records.values() if record.origin] == [
                jim.user
            ]
            await other.do(other.client.messages.send, club, "@ida bring cake", None, [ida.user])
            await screen.until(lambda: "@1" in screen.rows("list"), "a mention")

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
                await screen.type("/new nobody", "enter")
                await screen.tells("/new nobody: will be done when connected")
                server.start()
                await screen.tells("/new nobody: there is nobody called nobody")
                await screen.until(lambda: "connected" in screen.line("status"), "connected")
                await screen.until(lambda: screen.timeline.count("✓") == 2, "two ticks")
                assert screen.timeline.count("oat milk") == 1
            await other.do(other.client.synced)
            texts = [record.content.data for record in other.client.log(conv).records.values() if record.content]
            assert texts == ["Remember the milk", "which milk", "oat milk"]

    play(story())


def test_ones_own_account(server: ServerProcess, tmp_path: Path) -> None:
    """What one does not want to see, what one is called, a password, the devices."""
    kim, lee = account(server, tmp_path, "kim", "Kim"), account(server, tmp_path, "lee", "Lee")

    async def story() -> None:
        async with Person(lee) as other, terminal(kim) as screen:
            conv = await other.do(other.client.conversations.direct, kim.user)
            await other.do(other.client.messages.send, conv, "music")
            await other.do(other.client.messages.send, conv, "noise")
            await screen.until(lambda: "Lee" in screen.rows("list"), "Lee")
            await screen.press("alt+down")
            await screen.sees("music", "noise")
            await screen.press("escape", "end", "h", "down", "enter")
            await screen.misses("noise")
            await screen.press("escape")
            await screen.type("/block lee", "enter")
            await screen.sees("somebody you have blocked")
            await screen.type("/unblock lee", "enter")
            await screen.sees("music")
            await screen.type("/name Kimberly", "enter")
            await screen.until(lambda: "Kimberly" in screen.line("me"), "the new name")
            await screen.type("/name", "enter")
            await screen.tells("you are called Kimberly; /name - goes back")
            assert "Kimberly" in screen.line("me")
            await screen.type("/password", "enter")
            await screen.until(lambda: len(screen.app.screen_stack) == 3, "the dialog")
            await screen.press("enter")
            await screen.type("correct horse", "enter")
            await screen.type("correct horse", "enter")
            await screen.tells("password is another one")
            await screen.type("/devices", "enter")
            await screen.until(lambda: "this one" in screen.rows("choices"), "the devices")

    play(story())


async def say_typing(client: Client, conv: int) -> None:
    client.presence.typing(conv)


def test_a_group_is_made_and_left(server: ServerProcess, tmp_path: Path) -> None:
    """Commands, completion, the members, the picker; what cannot be done is said."""
    gus, hal = account(server, tmp_path, "gus", "Gus"), account(server, tmp_path, "hal", "Hal")

    async def story() -> None:
        async with Person(hal) as other, terminal(gus) as screen:
            await screen.until(lambda: "Alt+Down opens the" in screen.timeline, "what to do")
            await screen.type("/new nobody", "enter")
            await screen.tells("there is nobody called nobody")
            await screen.press("ctrl+z")
            assert screen.box.text == ""
            await screen.type("/who noone", "enter")
            await screen.tells("there is nobody called noone")
            await screen.type("/new gus", "enter")
            await screen.tells("/notes is where you write to yourself")
            await screen.press("f1")
            assert "closes this" in screen.dialog_title
            await screen.press("f1")
            await screen.type("/new hal: Kites", "enter")
            await screen.until(lambda: "Kites" in screen.line("head"), "the group")
            await screen.press("f2")
            await screen.until(lambda: "Hal" in screen.rows("member-rows"), "the members")
            await screen.type("hi @ha")
            await screen.until(lambda: "@hal" in screen.line("completions"), "a completion")
            await screen.press("tab", "enter")
            await screen.sees("hi @hal")
            await screen.press("ctrl+n")
            await screen.type("hall", "enter")
            title = "New conversation: there is nobody called hall"
            await screen.until(lambda: screen.dialog_title == title, "the error in the dialog")
            await screen.press("backspace", "enter")
            await screen.until(lambda: "Hal" in screen.line("head") and "@hal" in screen.line("head"), "Hal")
            await screen.press("ctrl+k")
            await screen.type("kit", "enter")
            await screen.until(lambda: "Kites" in screen.line("head"), "back in the group")
            await screen.type("/title Big kites", "enter")
            await screen.sees("You changed the title to “Big kites”")
            await screen.type("/role hal admin", "enter")
            await screen.sees("You made Hal admin")
            await screen.until(lambda: "admin" in screen.rows("member-rows"), "the role")
            await screen.until(lambda: "● Hal" in screen.rows("member-rows"), "Hal is there")
            await other.do(say_typing, other.client, screen.app.desk.conv)
            await screen.until(lambda: "Hal is writing" in screen.line("typing"), "Hal writes")
            await screen.type("/notes", "enter")
            await screen.until(lambda: "Notes to self" in screen.line("head"), "the notes")
            await screen.type("buy string", "enter")
            await screen.sees("buy string")
            await screen.pilot.click("#list", offset=(3, 2))
            await screen.until(lambda: "Big kites" in screen.line("head"), "a click opens the group")
            await screen.type("/title", "enter")
            await screen.tells("the title is “Big kites”; /title - takes it away")
            await screen.type("/about", "enter")
            await screen.tells("there is no description")
            await screen.type("/about -", "enter")
            await screen.tells("there is no description any more")
            await screen.type("/leave", "enter")
            await screen.until(lambda: "Stay" in screen.rows("choices"), "the question")
            await screen.press("enter")
            await screen.type("/leave", "enter")
            await screen.until(lambda: "Stay" in screen.rows("choices"), "the question")
            assert "not a member" not in screen.line("head")
            await screen.press("down", "enter")
            await screen.until(lambda: "not a member any more" in screen.line("head"), "left")
            await other.do(other.client.synced)
            assert [chat.info.title for chat in other.client.conversations.list() if chat.info.kind == 2] == [
                "Big kites"
            ]

    play(story())
