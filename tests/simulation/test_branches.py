"""What no seed takes is told, and what is excused is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.simulate.branches import EXCUSES, Watch, places, read


def test_what_is_excused_is_there() -> None:
    """An excuse for what was renamed excuses nothing, and hides that nobody looked again."""
    assert sorted(read(EXCUSES).keys() - places()) == []


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


@pytest.mark.parametrize("excuse", ["wirechat/server/hub.py Hub.nothing", "wirechat/server/none.py"])
def test_what_is_not_there_is_no_place(excuse: str) -> None:
    assert excuse not in places()
