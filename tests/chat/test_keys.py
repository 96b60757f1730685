"""What keys do where: going on typing is harmless."""

from pathlib import Path

from tests.chat.rig import Person, account, play, terminal
from tests.replay.server import ServerProcess


def test_typing_on_after_escape_does_no_harm(server: ServerProcess, tmp_path: Path) -> None:
    """The footer shows the keys of a message, Escape selects the newest, other letters are typed."""
    amy, bob = account(server, tmp_path, "amy", "Amy"), account(server, tmp_path, "bobby", "Bob")

    async def story() -> None:
        async with Person(bob) as other, terminal(amy) as screen:
            conv = await other.do(other.client.conversations.direct, amy.user)
            await screen.until(lambda: "Bob" in screen.rows("list"), "Bob")
            await screen.press("alt+down")
            for text in ("one", "two", "three"):
                await screen.type(text, "enter")
            await screen.until(lambda: screen.timeline.count("✓") >= 3, "three sent")
            await screen.press("escape", "up", "up")
            await screen.until(lambda: "r reply" in screen.line("status"), "the keys")
            await screen.press("escape")
            await screen.until(lambda: "Ctrl+K" in screen.line("status"), "the other keys")
            await screen.press("escape", "d")
            await screen.until(lambda: "Keep it" in screen.rows("choices"), "the question")
            assert screen.rows("choices").splitlines()[0].strip() == "Keep it"
            await screen.press("enter")
            await screen.press("w", "o", "w")
            assert screen.box.text == "wow"
            await screen.press("escape", "r")
            await screen.until(lambda: "Replying to Amy: three" in screen.line("banner"), "the newest")
            await other.do(other.client.synced)
            assert all(record.content for record in other.client.log(conv).records.values() if record.kind == 1)

    play(story())
