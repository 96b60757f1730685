"""NATS with JetStream: every text is stored in a stream of files before it is acknowledged to whoever sent it.

What is meant for one person comes through a durable consumer of its own and is acknowledged. In a group each member has
a plain subscription, as a consumer for each would cost the server many times as much: members get a text at most once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tools.loadgen.targets.dialect import Dialect, Person, Refused

STREAM = "LOADGEN"
SUBJECTS = "loadgen"
ACK_PENDING_MAX = 1000
AWAY_NANOSECONDS = 60_000_000_000
"""A consumer whose person has been away for so long goes: a stream has no more than 1,000 of them."""
LINE_END = b"\r\n"


class Nats(Dialect):
    """One client. Acknowledgements of a stream come in the order of what was published, so they are counted."""

    _tail = b""
    _answered = 0

    def __init__(self, person: Person, host: str) -> None:
        super().__init__(person, host)
        self._requests = self._set_up()
        self._connecting = True

    def begin(self) -> bytes:
        """The server speaks first."""
        return b""

    def _connect(self) -> bytes:
        person = self.person
        options: dict[str, object] = {"verbose": False, "pedantic": False, "echo": False, "lang": "python"}
        options |= {"version": "1", "protocol": 1, "name": person.name}
        if person.user:
            options |= {"user": person.user, "pass": person.password}
        lines = [f"CONNECT {json.dumps(options)}\r\n", f"SUB answers.{person.name} 1\r\n"]
        subjects = [f"{SUBJECTS}.g.{name}" for name in person.groups]
        if person.inbox:
            subjects.append(f"inbox.{person.name}")
        lines += [f"SUB {subject} 2\r\n" for subject in subjects]
        return "".join([*lines, "PING\r\n"]).encode()

    def _set_up(self) -> list[tuple[str, dict[str, object]]]:
        """What JetStream has to make, in this order; asking for what there is already harms nothing."""
        name = self.person.name
        if not self.person.inbox and not self.person.groups:
            return []
        stream = {"name": STREAM, "subjects": [f"{SUBJECTS}.>"], "storage": "file", "retention": "limits"}
        requests: list[tuple[str, dict[str, object]]] = [(f"STREAM.CREATE.{STREAM}", {**stream, "num_replicas": 1})]
        if self.person.inbox:
            consumer = {
                "durable_name": name,
                "deliver_subject": f"inbox.{name}",
                "filter_subject": f"{SUBJECTS}.u.{name}",
                "deliver_policy": "all",
                "ack_policy": "explicit",
                "max_ack_pending": ACK_PENDING_MAX,
                "inactive_threshold": AWAY_NANOSECONDS,
            }
            where = f"CONSUMER.DURABLE.CREATE.{STREAM}.{name}"
            requests.append((where, {"stream_name": STREAM, "config": consumer}))
        return requests

    def address(self, name: str, group: bool) -> bytes:
        return f"PUB {SUBJECTS}.{'g' if group else 'u'}.{name} answers.{self.person.name} ".encode()

    def say(self, address: bytes, texts: Sequence[bytes]) -> bytes:
        self.said += len(texts)
        return b"".join([address + b"%d\r\n%b\r\n" % (len(text), text) for text in texts])

    def receive(self, data: bytes) -> bytes:
        data = self._tail + data if self._tail else data
        at, size, replies = 0, len(data), []
        while (end := data.find(LINE_END, at)) >= 0:
            line = data[at:end]
            after = end + 2
            if line[:4] == b"MSG ":
                words = line.split()
                body, after = after, after + int(words[-1]) + 2
                if after > size:
                    break
                if words[2] == b"1":
                    replies.append(self._answer(data[body : after - 2]))
                else:
                    self.texts.append(data[body : after - 2])
                    if len(words) == 5 and words[3].startswith(b"$JS.ACK"):
                        replies.append(b"PUB %b 0\r\n\r\n" % words[3])
            else:
                replies.append(self._control(line))
            at = after
        self._tail = data[at:]
        return b"".join(replies)

    def _next_request(self) -> bytes:
        """One at a time; live after the last."""
        if not self._requests:
            self.is_live = True
            return b""
        subject, request = self._requests.pop(0)
        body = json.dumps(request)
        return f"PUB $JS.API.{subject} answers.{self.person.name} {len(body)}\r\n{body}\r\n".encode()

    def _answer(self, body: bytes) -> bytes:
        failed = b'"error"' in body
        if not self.is_live:
            if failed:
                raise Refused(f"JetStream refused: {json.loads(body)['error'].get('description')}")
            return self._next_request()
        self._answered += 1
        if failed:
            self.refusals += 1
        else:
            self.acknowledged.append(self._answered)
        return b""

    def _control(self, line: bytes) -> bytes:
        if line == b"PING":
            return b"PONG\r\n"
        if line.startswith(b"-ERR"):
            raise Refused(f"the server says {line[5:].decode(errors='replace')}")
        if line == b"PONG":
            return self._next_request()
        if line.startswith(b"INFO ") and self._connecting:  # later ones tell of changes of a cluster
            self._connecting = False
            if not json.loads(line[5:]).get("jetstream"):
                raise Refused("JetStream is not enabled there (nats-server -js)")
            return self._connect()
        return b""
