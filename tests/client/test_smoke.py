from tests.client.stage import entry, row, record
import trio
from wirechat import wire

async def test_smoke(stage, opened, autojump_clock):
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            async def server():
                peer = await stage.connection()
                await peer.synced(row(5, 2))
                q = await peer.expect(wire.Changes)
                assert (q.conv, q.since) == (5, 0)
                peer.send(wire.ChangesOk(q.rid, 2, (record(1), record(2)), False))
                peer.send(entry(5, 3), entry(5, 4))
                s = await peer.expect(wire.Send)
                peer.send(wire.SendOk(s.rid, 5, 2000))
                print(await peer.expect(wire.Ack))
            nursery.start_soon(server)
            async with opened() as client:
                feed = client.events()
                await client.synced()
                sent = await client.messages.send(5, "hi")
                assert sent.seq == 5
                print(client.log(5)); print(client.conversations.list())
                while feed._waiting: print(await anext(feed))
