"""The disk of the power cuts: what was synced stays, and everything else may be lost, kept or torn, in any order."""

from __future__ import annotations

from collections import Counter
from random import Random

from tools.powercuts.disk import SECTOR, Disk, File, Truncate, Weather, Write

ROUNDS = 300
A, B, C = b"a" * SECTOR, b"b" * SECTOR, b"c" * SECTOR


def survivors(*changes: Write | Truncate, before: bytes = A * 3, weather: Weather | None = None) -> set[bytes]:
    """What may be left of a file with these changes since its last sync."""
    found = set()
    for seed in range(ROUNDS):
        file = File(before)
        for change in changes:
            file.change(change)
        sky = weather or Weather(0.5, 0.5, b"\0")
        found.add(bytes(file.survive(sky, Random(seed), Counter()).seen))
    return found


def test_what_was_synced_is_there_whatever_happens() -> None:
    file = File()
    file.change(Write(0, A + B))
    file.sync()
    file.change(Write(2 * SECTOR, C))
    for seed in range(ROUNDS):
        assert file.survive(Weather(0.5, 0.5, b"\0"), Random(seed), Counter()).seen.startswith(A + B)


def test_an_unsynced_write_is_lost_kept_or_torn_at_sectors() -> None:
    """Each sector by itself, and none in halves."""
    assert survivors(Write(0, B + B + B)) == {one + two + three for one in (A, B) for two in (A, B) for three in (A, B)}


def test_a_sector_that_is_written_in_parts_may_have_only_some_of_them() -> None:
    """Two writes into one sector are two writes."""
    assert survivors(Write(10, b"x"), Write(20, b"y"), weather=Weather(0.5, 0.0, b"\0"), before=b"." * 30) == {
        b"." * 10 + one + b"." * 9 + two + b"." * 9 for one in (b".", b"x") for two in (b".", b"y")
    }


def test_a_later_write_may_be_there_and_an_earlier_one_not() -> None:
    found = survivors(Write(0, B), Write(SECTOR, C), weather=Weather(0.5, 0.0, b"\0"))
    assert A + C + A in found
    assert B + A + A in found


def test_what_was_never_written_shows_what_the_disk_held() -> None:
    """A file that became longer, without the bytes in between."""
    found = survivors(Write(0, B), Write(2 * SECTOR, C), before=b"", weather=Weather(0.5, 0.0, b"?"))
    assert b"?" * (2 * SECTOR) + C in found


def test_a_file_may_be_as_long_as_before_it_was_cut() -> None:
    assert survivors(Truncate(SECTOR)) == {A * 3, A}


def test_after_a_failed_sync_no_later_one_brings_the_write_back() -> None:
    """The program goes on seeing it, and the disk does not have it: the worst that Linux does."""
    fates = set()
    for seed in range(20):
        file = File(A)
        file.change(Write(0, B))
        file.fail_to_sync(Random(seed))
        file.sync()
        assert file.seen == B
        fates.add(bytes(file.survive(Weather(1.0, 0.0, b"\0"), Random(seed), Counter()).seen))
    assert fates == {A, B}


def names(disk: Disk) -> set[frozenset[str]]:
    return {frozenset(disk.lose_power(Random(seed), Counter()).files) for seed in range(ROUNDS)}


def test_a_name_is_safe_when_its_directory_was_synced() -> None:
    """Before that a new file may be missing, whatever was synced of its contents, and a deleted one may be back."""
    disk = Disk()
    disk.create("log").sync()
    assert names(disk) == {frozenset(), frozenset({"log"})}
    disk.sync_directory()
    assert names(disk) == {frozenset({"log"})}
    disk.delete("log")
    assert names(disk) == {frozenset(), frozenset({"log"})}


def test_a_file_that_was_replaced_is_one_or_the_other() -> None:
    """Deleted and made again under its name: never a mixture of the two."""
    disk = Disk({"log": File(A)})
    disk.delete("log")
    disk.create("log").change(Write(0, B))
    found = set()
    for seed in range(ROUNDS):
        file = disk.lose_power(Random(seed), Counter()).files.get("log")
        found.add(None if file is None else bytes(file.seen))
    assert {None, A, B} <= found
    assert all(content in (None, b"", A) or A not in content for content in found)
