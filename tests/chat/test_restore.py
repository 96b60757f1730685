"""The server is put back to a backup while the program runs."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.chat.rig import Person, account, play, terminal
from tests.replay.server import ServerProcess


def wirechat(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "wirechat.cli.main", *arguments], check=True, capture_output=True, timeout=60)


def test_people_keep_their_names_and_learn_what_happened(tmp_path: Path) -> None:
    """A restore drops the cache: names are asked for again, one's own too, and one notice says what is gone."""
    data, backup = tmp_path / "data", tmp_path / "backup.wirechat"
    with ServerProcess(data, places=(("--tcp", "127.0.0.1:0"),)) as server:
        una, vic = account(server, tmp_path, "una", "Una"), account(server, tmp_path, "vic", "Vic")

        async def story() -> None:
            async with Person(vic) as other, terminal(una) as screen:
                conv = await other.do(other.client.conversations.create_group, "Tea", [una.user])
                await other.do(other.client.messages.send, conv, "before the backup")
                await screen.until(lambda: "Tea" in screen.rows("list"), "the group")
                await screen.press("alt+down")
                await screen.sees("Vic", "before the backup")
                wirechat("backup", "--data", str(data), str(backup))
                await other.do(other.client.messages.send, conv, "after the backup")
                await screen.sees("after the backup")
                server.kill()
                shutil.rmtree(data)
                wirechat("restore", str(backup), "--data", str(data))
                server.start()
                await screen.misses("after the backup")
                await screen.tells("Messages that came after that backup are gone")
                await screen.sees("Vic", "before the backup")
                await screen.until(lambda: screen.line("me") == "Una", "one's own name")
                assert "user " not in screen.timeline
                told = [each for each in screen.app._notifications if "backup" in each.message]
                assert len(told) == 1

        play(story())
