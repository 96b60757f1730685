"""What the notebooks of crowds say to the judge, and that a book of a killed process can be read."""

from pathlib import Path

from tools.faults.notebook import Note, Notebook, What, read, received
from tools.faults.witness import Restore, Witness
from tools.history.checker import History
from wirechat import wire

USER, DEVICE, CONV, CID = 7, 70, 5, b"12345678"
TEXT = wire.Content(1, "hello")


def body(message: wire.Message) -> bytes:
    return message.encode()[4:]


def send(at: float, rid: int = 1, line: int = 1) -> Note:
    return Note(at, DEVICE, line, What.SENT, body(wire.Send(rid, CONV, CID, 1, TEXT)))


def answer(at: float, seq: int, rid: int = 1, line: int = 1) -> Note:
    return Note(at, DEVICE, line, What.RECEIVED, body(wire.SendOk(rid, seq, 1000)))


def push(at: float, seq: int) -> Note:
    return Note(at, DEVICE, 1, What.RECEIVED, body(wire.Event(CONV, seq, 1000, USER, 1, TEXT, cid=CID)))


def judged(*notes: Note, **how: object) -> tuple[Witness, list[str]]:
    witness = Witness(History(), {DEVICE: USER}, **how)  # type: ignore[arg-type]
    witness.tell(notes)
    found = [f"{each.promise} {each.rule}" for each in witness.history.finish()]
    return witness, [line for line in found if line != "P9 outside membership"]  # nobody has a CREATE here


def test_what_was_acknowledged_and_is_nowhere_is_lost() -> None:
    witness, found = judged(send(1), answer(2, seq=1))
    assert found == ["P1 lost"]
    assert [(ack.at, ack.seq) for ack in witness.acks] == [(2, 1)]


def test_a_retry_over_another_connection_is_the_same_operation() -> None:
    witness, found = judged(send(1), send(2, rid=9, line=2), answer(3, seq=1, rid=9, line=2), push(4, seq=1))
    assert found == []
    assert (witness.counts["operations"], witness.counts["retries"]) == (1, 1)


def test_two_entries_of_one_operation_are_found() -> None:
    _, found = judged(send(1), answer(2, seq=1), push(3, seq=1), push(4, seq=2))
    assert "P2 doubled" in found


def test_after_a_restore_what_was_lost_with_it_does_not_count() -> None:
    """The entry at 1 was acknowledged and seen, but after the backup."""
    later = Note(6, DEVICE, 2, What.OPENED, None)
    _, found = judged(send(1), answer(2, seq=1), push(3, seq=1), later, restore=Restore(5.0, {CONV: 0}))
    assert found == []


def test_what_is_shown_twice_is_found_but_not_after_a_reset() -> None:
    shown = [Note(at, DEVICE, 0, What.SHOWN, (CONV, 1)) for at in (1, 2, 4)]
    _, found = judged(*shown[:2])
    assert found == ["P2 shown twice"]
    _, found = judged(shown[0], Note(3, DEVICE, 0, What.RESYNCED, None), shown[2])
    assert found == []


def test_a_client_that_gives_up_is_found() -> None:
    _, found = judged(Note(1, DEVICE, 0, What.GAVE_UP, "log in again"))
    assert found == ["P5 a client gave up"]


def test_a_torn_last_note_is_left_out(tmp_path: Path) -> None:
    """kill -9 in the middle of writing one."""
    path = tmp_path / "notes"
    book = Notebook(path)
    line = book.line(DEVICE)
    book.note(DEVICE, line, What.RECEIVED, body(wire.Pong(3)))
    book.note(DEVICE, line, What.SENT, body(wire.Ping(3)))
    book.close()
    path.write_bytes(path.read_bytes()[:-2])
    assert [note.what for note in read([path])] == [What.OPENED, What.RECEIVED]
    assert [message.t for _, message in received([path], wire.Pong)] == [3]
