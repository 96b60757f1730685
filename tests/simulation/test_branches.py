"""What no seed takes is told, and what is excused is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.ledger import ROOT
from tools.simulate.branches import EXCUSES, Watch, forced, places, read


def test_what_is_excused_is_there() -> None:
    """An excuse for what was renamed excuses nothing, and hides that nobody looked again."""
    assert sorted((read(EXCUSES).keys() | forced(EXCUSES).keys()) - places()) == []


def test_the_tests_that_force_a_branch_are_there() -> None:
    for test in forced(EXCUSES).values():
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(), test


def test_a_branch_that_no_seed_takes_is_told_unless_it_is_excused(tmp_path: Path) -> None:
    watch, nothing = Watch(), tmp_path / "unreached.toml"
    watch(1)
    nothing.write_text("")
    bare, excused = watch.reach(nothing), watch.reach()
    assert bare.taken > 100
    told = [branch for branch in bare.missing if branch.file == "wirechat/store/postgres.py"]
    assert told
    assert not [branch for branch in excused.missing if branch.file == "wirechat/store/postgres.py"]
    assert len(bare.missing) == len(excused.missing) + excused.excused


def test_a_branch_that_is_forced_must_be_taken_by_its_test(tmp_path: Path) -> None:
    """One that passes it by, or is not there, is no proof."""
    closed = "wirechat/server/outbox.py Outbox.push: if self.closed:"
    takes, passes_by = (
        "what_comes_after_the_last_frame_goes_nowhere",
        "p7_entries_and_other_frames_go_out_in_the_order_in_which_they_began_to_wait",
    )
    watch, left = Watch(), {}
    watch(1)
    for number, test in enumerate((passes_by, "nothing", takes)):
        table = tmp_path / f"{number}.toml"
        table.write_text(f'[forced]\n"{closed}" = "tests/server/test_outbox.py::test_{test}"\n')
        watch.force(table)
        left[test] = [
            branch
            for branch in watch.reach(table).missing
            if f"{branch.file} {branch.function}: {branch.text}" == closed
        ]
    assert left[passes_by]
    assert left["nothing"]
    assert not left[takes]


@pytest.mark.parametrize("excuse", ["wirechat/server/hub.py Hub.nothing", "wirechat/server/none.py"])
def test_what_is_not_there_is_no_place(excuse: str) -> None:
    assert excuse not in places()
