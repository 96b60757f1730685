"""The plan keeps who is who, who is in, and what waits for what."""

from pathlib import Path

from tools.replay.log import Happening, Joined, Left, Log, Renamed, Spoke, read_log
from tools.replay.plan import Deed, Plan, plan

NIGHTWATCH = Path(__file__).parents[2] / "examples" / "logs" / "nightwatch.raw.txt"


def planned(*happenings: Happening) -> Plan:
    return plan(Log("some", happenings))


def deeds(of: Plan) -> list[tuple[Deed, str]]:
    return [(step.deed, of.accounts[step.account]) for step in of.steps]


def test_speaking_implies_membership() -> None:
    assert deeds(planned(Spoke(0, 5, "a", "x"), Spoke(1, 5, "a", "y"))) == [
        (Deed.ADD, "a"),
        (Deed.SAY, "a"),
        (Deed.SAY, "a"),
    ]


def test_leaving_and_coming_back() -> None:
    """Joining twice without leaving adds once; leaving without having been seen means having been there."""
    plan = planned(Joined(0, 0, "a"), Joined(1, 0, "a"), Left(2, 0, "a"), Joined(3, 0, "a"), Left(4, 0, "b"))
    assert deeds(plan) == [(Deed.ADD, "a"), (Deed.LEAVE, "a"), (Deed.ADD, "a"), (Deed.ADD, "b"), (Deed.LEAVE, "b")]


def test_a_new_name_keeps_the_account() -> None:
    plan = planned(
        Spoke(0, 0, "a", "1"),
        Renamed(1, 0, "a", "b"),
        Spoke(2, 0, "b", "2"),
        Renamed(3, 0, "b", "a"),
        Spoke(4, 0, "a", "3"),
    )
    assert plan.accounts == ("a",)
    assert [step.text for step in plan.steps] == ["", "1", "2", "3"]


def test_a_name_can_be_taken_over() -> None:
    plan = planned(Spoke(0, 0, "a", "1"), Spoke(1, 0, "b", "2"), Renamed(2, 0, "b", "a"), Spoke(3, 0, "a", "3"))
    assert deeds(plan)[-1] == (Deed.SAY, "b")


def test_a_step_waits_for_its_own_before_and_for_what_it_answers() -> None:
    """ADD b is moved before the line that b answers, and that line waits for it."""
    plan = planned(Spoke(0, 7, "a", "q"), Spoke(1, 8, "b", "r", answers=0), Spoke(2, 9, "a", "s", answers=1))
    assert deeds(plan) == [(Deed.ADD, "b"), (Deed.ADD, "a"), (Deed.SAY, "a"), (Deed.SAY, "b"), (Deed.SAY, "a")]
    assert [set(step.waits) for step in plan.steps] == [set(), set(), {0, 1}, {0, 1, 2}, {2, 3}]
    assert [step.answers for step in plan.steps] == [None, None, None, 2, 3]


def test_an_answer_to_what_was_said_while_away_is_no_reply() -> None:
    """History is visible from one's entrance on, so there would be nothing to refer to."""
    back = [Spoke(0, 0, "a", "1"), Left(1, 0, "a"), Spoke(2, 0, "b", "2"), Spoke(3, 0, "a", "3", answers=2)]
    assert [step.answers for step in planned(*back).steps if step.deed is Deed.SAY] == [None, None, None]


def test_the_steps_of_a_minute_are_spread_over_it() -> None:
    plan = planned(Spoke(0, 7, "a", "x"), Spoke(1, 7, "a", "y"), Spoke(2, 9, "a", "z"))
    assert [step.due for step in plan.steps] == [0, 1 / 3, 2 / 3, 2]


def test_limit_counts_lines() -> None:
    log = read_log(NIGHTWATCH)
    assert sum(step.deed is Deed.SAY for step in plan(log, limit=3).steps) == 3


def test_the_example_has_twelve_people_who_come_go_and_answer() -> None:
    of = plan(read_log(NIGHTWATCH))
    assert len(of.accounts) == 12
    assert {step.deed for step in of.steps} == set(Deed)
    assert all(wait < number for number, step in enumerate(of.steps) for wait in step.waits)
