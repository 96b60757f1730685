"""One account with its own connection and the real client, from its first appearance to the end of the play."""

import attrs
import trio

from tools.history.checker import Record
from tools.replay.evidence import Device
from tools.replay.people import Person
from tools.simulate import wording
from wirechat import wire
from wirechat.client import Client, ClientError, open_client
from wirechat.client.transport import Connect
from wirechat.world import REAL, World

RETURN_SECONDS_MAX = 1.0  # between two attempts to connect: a replay has no night to wait through

EAGER = World(
    now_ms=REAL.now_ms,
    random_bytes=REAL.random_bytes,
    uniform=lambda low, high: REAL.uniform(low, min(high, RETURN_SECONDS_MAX)),
    run_blocking=REAL.run_blocking,
)


@attrs.define(eq=False)
class Actor:
    """Connects when `appear` runs and stays until it is cancelled."""

    person: Person
    connect: Connect
    _client: Client | None = None
    _failure: ClientError | None = None
    _known: trio.Event = attrs.Factory(trio.Event)

    async def appear(self) -> None:
        """Runs the client. Its failure is kept for whoever asks for it."""
        person = self.person
        try:
            async with open_client(
                person.url,
                handle=person.handle,
                device_key=person.key,
                device=person.device,
                world=EAGER,
                connect=self.connect,
            ) as client:
                self._client = client
                self._known.set()
                await trio.sleep_forever()
        except ClientError as error:
            self._failure = error
            self._known.set()

    async def client(self) -> Client:
        """The client, once it has logged in. Raises ClientError when it cannot."""
        await self._known.wait()
        if self._client is None:
            raise self._failure or ClientError("not connected")
        return self._client

    def position(self, conv: int) -> int:
        """How far this device holds the log, without reading it."""
        known = None if self._client is None else self._client.conversations.get(conv)
        return 0 if known is None else known.pos

    def read_marks(self, conv: int) -> dict[int, int]:
        """The read watermark of everybody, as this device knows it."""
        if self._client is None:
            return {}
        return {user: mark.read for user, mark in self._client.log(conv, 0).marks.items()}

    def device(self, conv: int, shared: dict[int, Record]) -> Device:
        """Everything this device holds of a conversation. Equal records of several are kept once, in `shared`."""
        records: dict[int, Record] = {}
        if self._client is not None:
            for seq, record in self._client.log(conv).records.items():
                mine = record_of(record)
                first = shared.setdefault(seq, mine)
                records[seq] = first if first == mine else mine
        return Device(self.person.user, self.person.name, records, self.read_marks(conv))


def record_of(record: wire.Record) -> Record:
    """A record as the client library decodes it, in the words of the judge; what is no text is decoded, too."""
    data = None if record.content is None else record.content.data
    return attrs.evolve(wording.record_of(record), content=data.decode() if isinstance(data, bytes) else data)
