"""One conversation under load: what was said in it, who has it, and what is still under way.

A text is under way until its sender was told that it is durable and every other member has it. When a connection
breaks, what has no answer is sent again with the same cid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from tools.loadgen.judge import Judge
from tools.loadgen.measures import Measures
from tools.loadgen.peer import Peer, Seen, new_cid
from tools.loadgen.texts import TOKEN_BYTES, Texts, token_of
from wirechat import wire

TRY_AGAIN = 5000
"""Errors from here on say: again, with the same cid."""
RETRY_MS = 500


@attrs.define(slots=True, eq=False)
class Said:
    """A text under way."""

    token: int
    due: float
    """When it was meant to be sent, in monotonic seconds."""
    sender: Peer
    cid: bytes
    left: int
    """Acknowledgement and deliveries that are still to come."""
    done: Callable[[], None]
    texts: Texts
    acknowledged: bool = False


class Talk:
    """A conversation."""

    def __init__(
        self, conv: int, head: int, members: Sequence[Peer], length: int, measures: Measures, judge: Judge
    ) -> None:
        self.conv = conv
        self.head = head
        self.members = members
        self.under_way: dict[int, Said] = {}
        self._measures = measures
        self._judge = judge
        self._length = length
        self._texts: dict[int, Texts] = {}
        """By their length."""

    def say(self, sender: Peer, token: int, due: float, done: Callable[[], None], length: int | None = None) -> None:
        """`sender` says the text of this token, so many bytes; `done` is called when everybody has it."""
        length = self._length if length is None else max(TOKEN_BYTES, length)
        texts = self._texts.get(length)
        if texts is None:
            texts = self._texts[length] = Texts(self.conv, length)
        said = Said(token, due, sender, new_cid(), len(self.members), done, texts)
        self.under_way[token] = said
        self._judge.asks(self, sender, token, texts.text(token))
        self._measures.count("texts", due)
        if sender.is_live:
            self._send(said)

    def _send(self, said: Said) -> None:
        rid = said.sender.next_rid(lambda reply: self._answered(said, reply))
        said.sender.write(said.texts.frame(rid, said.cid, said.token))

    def send_again(self, sender: Peer) -> None:
        """What this sender said and has no answer for, in its order."""
        for said in [each for each in self.under_way.values() if each.sender is sender and not each.acknowledged]:
            self._measures.count("retries", sender.now)
            self._judge.again(said.token)
            self._send(said)

    def _answered(self, said: Said, reply: Any) -> None:
        """`reply`: the items of SEND_OK, an Error, or None when the connection ended."""
        if reply is None:
            return
        if isinstance(reply, wire.Error):
            self._refused(said, reply)
            return
        seq, ts = reply[2], reply[3]
        if said.acknowledged:
            return
        said.acknowledged = True
        sender = said.sender
        self._measures.latency("durable", said.due, sender.now)
        self._judge.acknowledged(said.token, seq, ts)
        self.head = max(self.head, seq)
        sender.own(self.conv, seq)
        self._one_less(said)

    def _refused(self, said: Said, error: wire.Error) -> None:
        self._measures.count(f"error {error.code}", said.sender.now)
        if error.code >= TRY_AGAIN:  # the same cid may be tried again
            sender = said.sender
            sender.later((error.retry_ms or RETRY_MS) / 1000, lambda: self._again(said))
            return
        self._judge.failed(said.token)
        del self.under_way[said.token]
        said.done()

    def _again(self, said: Said) -> None:
        if said.token in self.under_way and not said.acknowledged and said.sender.is_live:
            self._measures.count("retries", said.sender.now)
            self._judge.again(said.token)
            self._send(said)

    def seen(self, peer: Peer, entry: Seen) -> None:
        """A member got the next entry."""
        self._judge.sees(peer, entry)
        token = token_of(entry.text)
        said = None if token is None else self.under_way.get(token)
        if said is None or said.sender is peer:
            return
        self._measures.latency("delivered" if entry.live else "delivered late", said.due, peer.now)
        self._one_less(said)

    def _one_less(self, said: Said) -> None:
        said.left -= 1
        if said.left == 0:
            del self.under_way[said.token]
            said.done()
