"""Socket.IO over a WebSocket, for an application with two events.

`message` with {"to": NAME, "text": TEXT} or {"group": NAME, "text": TEXT} is acknowledged when it is stored, and comes
to others as `message` with {"text": TEXT}; `join` with NAME is acknowledged. Who connects says {"user": NAME}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tools.loadgen.targets.dialect import Dialect, Person, Refused
from tools.loadgen.websocket import Ended, WebSocket

PATH = "/socket.io/?EIO=4&transport=websocket"
OPEN, PING, PONG = "0", "2", "3"
CONNECT, EVENT, ACK, CONNECT_ERROR = "40", "42", "43", "44"
"""Packets of Engine.IO, and of Socket.IO within its messages."""


class SocketIo(Dialect):
    """One client."""

    def __init__(self, person: Person, host: str) -> None:
        super().__init__(person, host)
        self._websocket = WebSocket(host, PATH)
        self._joins = len(person.groups)
        self._joined = 0

    def begin(self) -> bytes:
        return self._websocket.to_send()

    def address(self, name: str, group: bool) -> bytes:
        return json.dumps({"group" if group else "to": name}).encode()

    def say(self, address: bytes, texts: Sequence[bytes]) -> bytes:
        frames = []
        for text in texts:
            self.said += 1
            content = f'["message",{address[:-1].decode()},"text":"{text.decode()}"}}]'
            frames.append(self._frame(f"{EVENT}{self._joins + self.said}{content}"))
        return b"".join(frames)

    def _frame(self, packet: str) -> bytes:
        return self._websocket.frame(packet)

    def receive(self, data: bytes) -> bytes:
        try:
            packets = self._websocket.receive(data)
        except Ended as error:
            raise Refused(str(error)) from None
        replies = [self._packet(packet.decode()) for packet in packets]
        return b"".join((self._websocket.to_send(), *replies))

    def _packet(self, packet: str) -> bytes:
        kind = packet[:2]
        if kind == EVENT:
            name, content = json.loads(packet[2:])
            if name == "message":
                self.texts.append(content["text"].encode())
        elif kind == ACK:
            return self._answered(int(packet[2 : packet.index("[")]))
        elif packet == PING:
            return self._frame(PONG)
        elif kind == CONNECT_ERROR:
            raise Refused(f"the login was refused: {packet[2:]}")
        elif kind == CONNECT:
            return self._come_in()
        elif packet.startswith(OPEN):
            return self._frame(f"{CONNECT}{json.dumps({'user': self.person.name})}")
        return b""

    def _come_in(self) -> bytes:
        self.is_live = not self._joins
        joins = [f"{EVENT}{at + 1}{json.dumps(['join', name])}" for at, name in enumerate(self.person.groups)]
        return b"".join(map(self._frame, joins))

    def _answered(self, number: int) -> bytes:
        if number > self._joins:
            self.acknowledged.append(number - self._joins)
        else:
            self._joined += 1
            self.is_live = self._joined == self._joins
        return b""
