"""What a check has at hand: a world, a server for it at an address of its own, and the client under test as a command.

One thread does everything: while a check waits for something, frames are read and answered, and what the client writes
is taken in. `hold` keeps frames of some names back, and the check answers them itself.
"""

from __future__ import annotations

import os
import selectors
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..decoder import Frame
from ..trace import Trace, shown
from ..verdict import Failed, Skipped
from .driver import Answer, Driver
from .listener import StreamServer, WebSocketServer, listen
from .peer import Peer
from .referee import LIVE
from .world import CONV, DEVICE, HELLO, PASSWORD, World

if TYPE_CHECKING:
    from .subject import Subject

POLL_SECONDS = 0.05
ASKING_SECONDS = 0.1
STARTING_SECONDS = 30.0
NO_DRIVER = "the command does not answer on standard input"

Shown = dict[int, dict[str, Any]]


class Stage:
    """`peers`: all connections, in order; `limits`, told in WELCOME, and `dress` are theirs; `state`: a folder."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.schema = subject.schema
        self.trace = Trace("server")
        self.world = World("conf-" + os.urandom(4).hex())
        self.peers: list[Peer] = []
        self.limits: dict[str, int] = {}
        self.dress: Callable[[bytes], bytes] = bytes
        self.state = tempfile.mkdtemp(prefix="wirechat-conform-")
        self.began = self._started = time.monotonic()
        self._starting = False
        self.driver: Driver | None = None
        self._held: set[str] = set()
        self._handlers: dict[str, Callable[[Peer, Frame], None]] = {}
        self._selector = selectors.DefaultSelector()
        self._listening: socket.socket | None = None
        self.port = 0
        self.listen()

    def close(self) -> None:
        """Ends the command and forgets its state."""
        self._end_driver()
        for peer in self.peers:
            peer.drop()
        self.deafen()
        self._selector.close()
        shutil.rmtree(self.state, ignore_errors=True)

    # the client

    def start(self, *, password: bool = True, key: bool = False) -> Driver:
        """Starts the command; its state is what earlier runs in this check have left."""
        self._end_driver()
        environment = {
            "WIRECHAT_URL": self.subject.address.url(self.port),
            "WIRECHAT_HANDLE": self.world.handle,
            "WIRECHAT_STATE": self.state,
            "WIRECHAT_PASSWORD": PASSWORD if password else "",
            "WIRECHAT_DEVICE": str(DEVICE) if key else "",
            "WIRECHAT_KEY": self.world.seed.hex() if key else "",
        }
        self.driver = Driver(self.subject.command_for(environment), environment, self.trace)
        self._register(self.driver.stdout, self.driver)
        self._starting, self._started = True, time.monotonic()
        return self.driver

    def live(self) -> Peer:
        """Starts the command and waits until it is LIVE."""
        self.start()
        return self.until_live()

    def until_live(self, after: Peer | None = None) -> Peer:
        """Waits until the newest connection, one after `after`, is LIVE."""
        least = 0 if after is None else self.peers.index(after) + 1
        wanted = "HELLO, AUTH and SYNC" + (" on another connection" if after else "")
        self.until(lambda: len(self.peers) > least and self.peer.state == LIVE, wanted)
        return self.peer

    def ready(self) -> Peer:
        """As `live`, and what there is at first is shown."""
        peer = self.live()
        self.shows({2: HELLO})
        return peer

    def kill(self) -> None:
        """Ends the command as `kill -9` does. What is on its disk stays."""
        assert self.driver is not None
        self.pump(0)
        self.driver.kill()
        for peer in self.peers:
            peer.receive()
            peer.drop()
        self.world.live.clear()

    def restart(self) -> Driver:
        """The same command again, with what it has stored."""
        if self.driver is not None and self.driver.running:
            self.kill()
        return self.start()

    def _end_driver(self) -> None:
        if self.driver is not None:
            if self.driver.stdout.fileno() in {key.fd for key in self._selector.get_map().values()}:
                self._selector.unregister(self.driver.stdout)
            self.driver.end()
            self.driver = None

    # what its user does and sees

    def do(self, what: str, /, *, traced: bool = True, **fields: Any) -> int:
        """Its user does something; the answer comes later. Raises Skipped when the command has no standard input."""
        if not self.subject.driven:
            raise Skipped(NO_DRIVER)
        assert self.driver is not None
        return self.driver.tell(what, fields, traced=traced)

    def ask(self, what: str, /, *, traced: bool = True, **fields: Any) -> Answer:
        """Its user does something, and this waits for the answer. Raises Skipped, Failed."""
        driver, number = self.driver, self.do(what, traced=traced, **fields)
        assert driver is not None
        self.until(lambda: number in driver.answers, f"an answer to the command {what!r}", "none")
        answer = driver.answers[number]
        if answer.get("error") == "unknown":
            raise Skipped(f"the driver does not know the command {what!r}")
        return answer

    def tell(self, what: str, /, **fields: Any) -> int:
        """As `ask`, for what must be accepted. Returns the id of the command."""
        answer = self.ask(what, **fields)
        if "error" in answer:
            raise Failed(f"the client accepts {what!r}", shown(answer))
        return int(answer["id"])

    def outcome(self, number: int) -> Answer:
        """What became of the thing that was told with this id."""
        assert self.driver is not None
        outcomes = self.driver.outcomes
        found = lambda: next((each for each in outcomes if number in (each.get("sent"), each.get("failed"))), None)  # noqa: E731
        result: Answer = self.until(found, f'a line "sent" or "failed" for command {number}', "none")
        return result

    def fails(self, number: int) -> Answer:
        """The user is told that it failed."""
        outcome = self.outcome(number)
        if "failed" not in outcome:
            raise Failed('a line "failed"', shown(outcome))
        return outcome

    def show(self, conv: int = CONV) -> Shown | None:
        """What the client shows of a conversation, by seq; None when it shows none."""
        answer = self.ask("show", traced=False, conv=conv)
        if answer.get("messages") is None:
            return None
        return {message["seq"]: message for message in answer["messages"]}

    def look(self, name: str, conv: int = CONV) -> Any:
        """One thing that it shows of a conversation. Raises Skipped when the driver never says it."""
        answer = self.ask("show", traced=False, conv=conv)
        if name not in answer:
            raise Skipped(f"the driver does not say {name!r} in the answer to 'show'")
        return answer[name]

    def shows(
        self, wanted: Mapping[int, Mapping[str, Any] | str | None], conv: int = CONV, *, because: str = ""
    ) -> None:
        """Waits until it shows these messages and no others; a text, or None for one without, stands for {"text": …}.

        Entries that are no messages may be shown or not. What the driver does not say of a message is not compared.
        A failure tells the first difference, and `because` what it comes from.
        """
        expected = {seq: each if isinstance(each, Mapping) else {"text": each} for seq, each in wanted.items()}

        difference: tuple[str, str] | None = None

        def reached() -> bool:
            nonlocal difference
            found = self.show(conv) or {}
            told = {seq: each for seq, each in found.items() if seq in expected or each.get("kind", 1) == 1}
            difference = _difference(told, expected)
            return difference is None

        self.until(
            reached,
            lambda: (
                f"{because and f'{because}: '}the client shows {difference and difference[0]} in conversation {conv}"
            ),
            lambda: difference[1] if difference else "",
            every=ASKING_SECONDS,
        )
        self.trace.add("driver", sent=False, note=f"shows {shown(expected)} of conversation {conv}")

    # the network

    def listen(self) -> None:
        """The server is there."""
        if self._listening is None:
            address = self.subject.address
            where = address if not self.port else type(address)(address.scheme, address.host, self.port)
            self._listening = listen(where)
            self.port = self._listening.getsockname()[1]
            self._listening.setblocking(False)
            self._register(self._listening, None)

    def deafen(self) -> None:
        """The server is not there."""
        if self._listening is not None:
            self._selector.unregister(self._listening)
            self._listening.close()
            self._listening = None

    @property
    def peer(self) -> Peer:
        """The newest connection."""
        if not self.peers:
            raise Failed("a connection", "none")
        return self.peers[-1]

    def next_peer(self, after: Peer | None = None, seconds: float | None = None) -> Peer:
        """Waits for another connection than those up to `after`."""
        least = 0 if after is None else self.peers.index(after) + 1
        self.until(
            lambda: len(self.peers) > least, "a connection" if after is None else "another connection", "none", seconds
        )
        return self.peers[least]

    def no_other(self, seconds: float, why: str) -> None:
        """No further connection is made for so long."""
        count = len(self.peers)
        self.keep(seconds, lambda: len(self.peers) > count)
        self._all_ended()
        if len(self.peers) > count:
            raise Failed(f"no connection {why}", f"one after {self.peer.began - self._last_end():.1f} s")

    def _all_ended(self) -> None:
        if any(peer.ended is None for peer in self.peers):
            raise Failed("the client closes the connection", "it lives on")

    def _last_end(self) -> float:
        return max((peer.ended for peer in self.peers if peer.ended is not None), default=self.began)

    # what is answered, and by whom

    def hold(self, *names: str) -> None:
        """Frames of these names are not answered; the check does that."""
        self._held.update(names)

    def release(self, *names: str) -> None:
        """They are answered again; those that have come are not."""
        self._held.difference_update(names)

    def on(self, name: str, handler: Callable[[Peer, Frame], None]) -> None:
        """This function answers frames of this name instead of the world."""
        self._handlers[name] = handler

    def expect(self, name: str, /, seconds: float | None = None, **fields: Any) -> Frame:
        """The next frame of this name with these fields on the newest connection, each frame once."""
        told = f"{name}({', '.join(f'{key}={shown(value)}' for key, value in fields.items())})"
        frame: Frame = self.until(lambda: self._take(name, fields), told, self._came, seconds)
        return frame

    def _take(self, name: str, fields: dict[str, Any]) -> Frame | None:
        peer = self.peers[-1] if self.peers else None
        for index, frame in enumerate(peer.frames if peer else ()):
            assert peer is not None
            if index not in peer.taken and frame.name == name and _fits(frame, fields):
                peer.taken.add(index)
                return frame
        return None

    def _came(self) -> str:
        if not self.peers:
            return "no connection"
        frames = self.peer.frames
        told = ", ".join(f"{each.name}({shown(each.fields)})" for each in frames[-3:]) or "nothing"
        return f"nothing of the kind; the last that came: {told}"

    def none(self, name: str, seconds: float, **fields: Any) -> None:
        """No such frame comes for so long on the newest connection."""
        self.keep(seconds, lambda: (frame := self._take(name, fields)) is not None and self._unwanted(frame))

    def _unwanted(self, frame: Frame) -> bool:
        raise Failed(f"no {frame.name} now", f"{frame.name}({shown(frame.fields)})")

    def acknowledged(self, n: int | None = None) -> None:
        """Waits for the ACK of every push so far on the newest connection, or of `n`."""
        peer = self.peer
        wanted = len(peer.pushes) if n is None else n
        self.until(lambda: peer.acked >= wanted, f"ACK {wanted}", lambda: f"ACK {peer.acked}" if peer.acks else "none")

    def ended(self, peer: Peer, seconds: float | None = None) -> None:
        """Waits until the client has closed this connection."""
        self.until(lambda: peer.ended is not None, "the client closes the connection", "it lives on", seconds)

    def lives(self, peer: Peer) -> None:
        """The connection lives: a PING is answered on it."""
        count = len(peer.named("PONG"))
        peer.send("PING", t=77)
        self.until(lambda: len(peer.named("PONG")) > count or peer.ended, "PONG on a connection that lives", "nothing")
        if peer.ended is not None:
            raise Failed("the connection lives", "the client closed it")

    # time

    @staticmethod
    def now() -> float:
        """The clock of Peer.times."""
        return time.monotonic()

    def until(
        self,
        condition: Callable[[], Any],
        expected: str | Callable[[], str],
        got: str | Callable[[], str] = "",
        seconds: float | None = None,
        every: float = 0.0,
    ) -> Any:
        """Serves until the condition holds, and returns it. Raises Failed when that takes too long."""
        began = time.monotonic()
        while not (result := condition()):
            if time.monotonic() > self._patience_ends(began, seconds or self.subject.patience):
                told = got() if callable(got) else got or self._came()
                wanted = expected() if callable(expected) else expected
                raise Failed(wanted, f"{told}{self._how_it_is()}")
            if every:
                self.keep(every)
            else:
                self.pump(POLL_SECONDS)
        return result

    def _patience_ends(self, began: float, seconds: float) -> float:
        """What the command needs to start is not counted, within limits."""
        if self._starting and self.driver is not None and self.driver.running:
            return max(began + seconds, self._started + STARTING_SECONDS)
        return max(began, self._started) + seconds

    def _how_it_is(self) -> str:
        if self.driver is None or self.driver.running:
            return ""
        return " (the command has ended)"

    def keep(self, seconds: float, enough: Callable[[], Any] = lambda: False) -> None:
        """Serves for so long, or until it is enough."""
        until = time.monotonic() + seconds
        while not enough() and (left := until - time.monotonic()) > 0:
            self.pump(min(left, POLL_SECONDS))

    def pump(self, seconds: float) -> None:
        """Waits up to so long for something, and serves what has come."""
        self._forget_ended()
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, Peer):
                key.data.receive()
                self._forget_ended()
            elif isinstance(key.data, Driver):
                if not key.data.read():
                    self._selector.unregister(key.fileobj)
            else:
                self._accept()
        for peer in self.peers:
            for frame in peer.arrived():
                self._serve(peer, frame)

    def _accept(self) -> None:
        assert self._listening is not None
        try:
            raw, _ = self._listening.accept()
        except OSError:
            return
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming = WebSocketServer(raw) if self.subject.scheme == "ws" else StreamServer(raw)
        peer = Peer(incoming, self.schema, self.trace, f"conn{len(self.peers) + 1}")
        peer.limits.update(self.limits)
        peer.dress = self.dress
        self.peers.append(peer)
        self._register(raw, peer)
        if self._starting:
            self._starting, self._started = False, time.monotonic()

    def _register(self, source: Any, data: Any) -> None:
        """The number of a closed socket may have been given out anew."""
        self._forget_ended()
        self._selector.register(source, selectors.EVENT_READ, data)

    def _forget_ended(self) -> None:
        self.world.live = [peer for peer in self.world.live if peer.ended is None]
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, Peer) and key.data.ended is not None:
                self._selector.unregister(key.fileobj)

    def _serve(self, peer: Peer, frame: Frame) -> None:
        name = str(frame.name)
        if name in self._handlers:
            self._handlers[name](peer, frame)
        elif name not in self._held:
            self.world.answer(peer, frame)


def _difference(told: Shown, expected: Mapping[int, Mapping[str, Any]]) -> tuple[str, str] | None:
    """The first thing that is not shown as it should be, as far as the driver tells: what should be, and what is."""
    for seq in sorted(told.keys() | expected.keys()):
        if seq not in told:
            return f"message {seq}, {shown(expected[seq])},", f"no message {seq}"
        if seq not in expected:
            return f"no message {seq}", f"message {seq}, {shown(told[seq])}"
        for name, value in expected[seq].items():
            if told[seq].get(name) != value and (name in told[seq] or name == "text"):
                return f"message {seq} with {name}={shown(value)}", f"{name}={shown(told[seq].get(name))}"
    return None


def _fits(frame: Frame, fields: Mapping[str, Any]) -> bool:
    return all(frame.fields.get(key) == value for key, value in fields.items())


def texts(*words: str, first: int = 2) -> dict[int, str]:
    """Messages in a row; the first one is the second entry of a conversation."""
    return dict(enumerate(words, first))


def spread(values: Iterable[float]) -> float:
    """The difference between the largest and the smallest."""
    known = list(values)
    return max(known) - min(known)
