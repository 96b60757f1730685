"""MQTT 3.1.1 at QoS 1 with a durable session: both legs are acknowledged.

A person has the topic `u/NAME`, a group `g/NAME`. Whoever speaks in a group gets its own text too: this version of the
protocol cannot say otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.loadgen.targets.dialect import Dialect, Refused

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
QOS_1 = 1
IDS = 65_535
"""Packet ids go from 1 to this and around."""
REASONS = {1: "another version of MQTT", 2: "the client id", 4: "user or password are wrong", 5: "it is not allowed"}


def packet(kind: int, flags: int, body: bytes) -> bytes:
    """Of the client or the server."""
    return _head(kind, flags, len(body)) + body


def _head(kind: int, flags: int, length: int) -> bytes:
    """What stands before a body of this length, which is told with seven bits a byte."""
    digits = bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes((kind << 4 | flags, *digits))


def _text(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


class Mqtt(Dialect):
    """One client."""

    _tail = b""

    def begin(self) -> bytes:
        person = self.person
        flags, payload = 0, _text(person.name.encode())
        for flag, field in ((0x80, person.user), (0x40, person.password)):
            if field:
                flags |= flag
                payload += _text(field.encode())
        no_keepalive = b"\0\0"
        return packet(CONNECT, 0, _text(b"MQTT") + bytes((4, flags)) + no_keepalive + payload)

    def address(self, name: str, group: bool) -> bytes:
        return _text(f"{'g' if group else 'u'}/{name}".encode())

    def say(self, address: bytes, texts: Sequence[bytes]) -> bytes:
        packets, length, head = [], -1, b""
        for text in texts:
            if len(text) != length:
                length = len(text)
                head = _head(PUBLISH, QOS_1 << 1, len(address) + 2 + length) + address
            packets.append(head + (self.said % IDS + 1).to_bytes(2, "big") + text)
            self.said += 1
        return b"".join(packets)

    def receive(self, data: bytes) -> bytes:
        data = self._tail + data if self._tail else data
        at, size, replies = 0, len(data), []
        while size - at >= 2:
            length = data[at + 1]
            body = at + 2
            if length & 0x80:
                length, body = _length(data, at)
            end = body + length
            if not body or end > size:
                break
            kind = data[at] >> 4
            if kind == PUBLISH:
                after = body + 2 + int.from_bytes(data[body : body + 2], "big")
                if data[at] >> 1 & 3:
                    replies.append(b"\x40\x02" + data[after : after + 2])
                    after += 2
                self.texts.append(data[after:end])
            elif kind == PUBACK:
                number = int.from_bytes(data[body : body + 2], "big")
                self.acknowledged.append(self.said - (self.said - number) % IDS)
            elif kind in (CONNACK, SUBACK):
                replies.append(self._enter(kind, data[body:end]))
            at = end
        self._tail = data[at:]
        return b"".join(replies)

    def _enter(self, kind: int, body: bytes) -> bytes:
        """Logged in, then subscribed, then live."""
        topics = [self.address(name, True) for name in self.person.groups]
        if self.person.inbox:
            topics.append(self.address(self.person.name, False))
        if kind == CONNACK and body[1]:
            raise Refused(f"the login was refused: {REASONS.get(body[1], f'code {body[1]}')}")
        if kind == SUBACK and 0x80 in body[2:]:
            raise Refused("a subscription was refused")
        if kind == CONNACK and topics:
            return packet(SUBSCRIBE, 2, b"\0\1" + b"".join(topic + bytes((QOS_1,)) for topic in topics))
        self.is_live = True
        return b""


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The remaining length and where the body begins; (0, 0) when it is not all there."""
    length = 0
    for place in range(4):
        if at + 1 + place >= len(data):
            return 0, 0
        digit = data[at + 1 + place]
        length |= (digit & 0x7F) << 7 * place
        if not digit & 0x80:
            return length, at + 2 + place
    raise Refused("this is no MQTT: a length of more than four bytes")
