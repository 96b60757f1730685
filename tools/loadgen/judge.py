"""Reports what a load asked for, was told and saw to the judge of histories; `Silent`, for `--no-check`, does not."""

from __future__ import annotations

from typing import Protocol

from tools.history.checker import ADD, MSG, Entry, History, Op
from tools.loadgen.peer import Peer, Seen


class Conversation(Protocol):
    """What the judge needs to know of one."""

    conv: int


class Judge(Protocol):
    """Who is told of everything."""

    def asks(self, talk: Conversation, sender: Peer, token: int, text: str) -> None:
        """Before the first attempt to send a text."""

    def adds(self, conv: int, sender: Peer) -> None:
        """Before members are added to a conversation."""

    def again(self, token: int) -> None:
        """Before another attempt."""

    def acknowledged(self, token: int, seq: int, ts: int) -> None:
        """The server says that it is durable."""

    def failed(self, token: int) -> None:
        """The server says that it was surely not executed, and it is not tried again."""

    def sees(self, peer: Peer, entry: Seen) -> None:
        """Somebody got the next entry of a log."""

    def verdict(self) -> list[str]:
        """Every broken promise in one line. The end."""


class Silent:
    """Nothing is checked."""

    def asks(self, talk: Conversation, sender: Peer, token: int, text: str) -> None: ...
    def adds(self, conv: int, sender: Peer) -> None: ...
    def again(self, token: int) -> None: ...
    def acknowledged(self, token: int, seq: int, ts: int) -> None: ...
    def failed(self, token: int) -> None: ...
    def sees(self, peer: Peer, entry: Seen) -> None: ...

    def verdict(self) -> list[str]:
        return []


class Checking:
    """Everything goes through `tools.history`."""

    def __init__(self) -> None:
        self._history = History(distinct=True)
        self._added = 0

    def asks(self, talk: Conversation, sender: Peer, token: int, text: str) -> None:
        self._history.invoke(token, Op(talk.conv, _user(sender), MSG, text, order=sender.name))

    def adds(self, conv: int, sender: Peer) -> None:
        self._added += 1
        self._history.invoke(("added", self._added), Op(conv, _user(sender), ADD))

    def again(self, token: int) -> None:
        self._history.again(token)

    def acknowledged(self, token: int, seq: int, ts: int) -> None:
        self._history.ok(token, seq, ts)

    def failed(self, token: int) -> None:
        self._history.failed(token)

    def sees(self, peer: Peer, entry: Seen) -> None:
        seen = Entry(entry.conv, entry.seq, entry.ts, entry.sender, entry.kind, entry.text, users=entry.users)
        self._history.saw(peer.name, _user(peer), seen)

    def verdict(self) -> list[str]:
        return [str(violation) for violation in self._history.finish()]


def _user(peer: Peer) -> int:
    assert peer.account is not None
    return peer.account.user
