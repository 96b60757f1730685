"""Children that do not outlive us, not even when we are killed and have no time to end them."""

from __future__ import annotations

import signal
import subprocess

SCRIPT = 'trap "" HUP "$1"; read -r _; kill -s "$1" 0; kill -s CONT 0'
"""The kernel sends HUP to a group of which a process is paused when its parent ends."""


class Guard:
    """A process group that gets a signal when this process ends, however it does. Whoever is paused then goes on.

    The kernel's own way (PR_SET_PDEATHSIG) is bound to the thread that makes a child, and threads come and go here. So
    a shell leads the group and waits for the end of a pipe that we hold. A group keeps its number as long as it is
    there: nobody else is hit when the children have ended long ago.
    """

    def __init__(self, how: signal.Signals) -> None:
        command = ("/bin/sh", "-c", SCRIPT, "guard", how.name.removeprefix("SIG"))
        self._shell = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        )

    @property
    def group(self) -> int:
        """Its number, for `process_group` of a child."""
        return self._shell.pid

    def close(self) -> None:
        """The children have ended, or may stay."""
        self._shell.kill()
        self._shell.communicate()
