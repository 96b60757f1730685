"""Scenarios: every mistake is told with its place, and parts of one add up to it."""

from __future__ import annotations

import pytest

from tools.loadgen import scenario
from tools.loadgen.scenario import BadScenario

GOOD = """
about = "a test"
people = 20
[conversations]
size = 2
[[activities]]
kind = "messages"
rate = 500
[[phases]]
name = "hold"
seconds = 20
"""


def test_a_number_may_be_written_without_a_point() -> None:
    assert scenario.parse(GOOD, "good").activities[0].rate == 500.0


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("rate = 500", "rate = 'x'", "'x' is not a number (at activities[0].rate)"),
        ("rate = 500", "rate = true", "True is not a number (at activities[0].rate)"),
        (
            "rate = 500",
            "shouts = 5",
            "unknown key shouts; there are rate, window, bytes, senders, arrivals (at activities[0])",
        ),
        ("rate = 500", "rat = 5", "unknown key rat; did you mean rate? (at activities[0])"),
        ("people", "peple", "bad: unknown key peple; did you mean people?"),
        ('about = "a test"', "", "bad: about is missing"),
        (
            "[[phases]]",
            '[[activities]]\nkind = "returns"\nshare = 1\nphase = "holt"\n[[phases]]',
            "there is no phase 'holt' (at activities[1].phase); there are hold",
        ),
        ("rate = 500", "rate = -1", "'rate' must be > 0: -1.0 (at activities[0])"),
        ("rate = 500", "", "needs either rate (an open loop) or window (a closed one) (at activities[0])"),
        ("rate = 500", "rate = 5\nwindow = 1", "needs either rate (an open loop) or window (a closed one)"),
        ('"messages"', '"shouts"', "kind 'shouts' is not known; there are messages,"),
        ("people = 20", "people = 1", "1 people are too few: these conversations need at least 2"),
        ("people = 20", "people = '20'", "'20' is not int (at people)"),
        ("seconds = 20", "", "bad: phases[0].seconds is missing"),
        ("seconds = 20", "seconds = 20\nmeasured = false", "no phase is measured"),
        ("size = 2", "size = 1001", "'size' must be <= 1000: 1001 (at conversations)"),
        ("[conversations]\nsize = 2", "", "there is no [conversations], in which something could happen"),
        ("people", "people =", "Invalid value"),
    ],
)
def test_a_mistake_is_told_with_its_place(before: str, after: str, told: str) -> None:
    text = GOOD.replace(before, after)
    assert text != GOOD
    with pytest.raises(BadScenario) as caught:
        scenario.parse(text, "bad")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BadScenario, match="there are broadcast, closed,"):
        scenario.load("pears")


@pytest.mark.parametrize("name", scenario.shipped())
def test_what_is_shipped_can_be_loaded_and_told_to_another_process(name: str) -> None:
    plan = scenario.load(name)
    assert plan.about
    assert scenario.from_plain(scenario.to_plain(plan)) == plan


@pytest.mark.parametrize("name", scenario.shipped())
@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_parts_add_up_to_the_whole(name: str, of: int) -> None:
    plan = scenario.load(name)
    if plan.units < of:
        with pytest.raises(BadScenario, match="cannot be divided"):
            plan.share(0, of)
        return
    parts = [plan.share(number, of) for number in range(of)]
    assert sum(part.people for part in parts) == plan.people
    assert sum(part.conversation_count for part in parts) == plan.conversation_count
    for number, activity in enumerate(plan.activities):
        rates = [part.activities[number].rate for part in parts]
        if activity.rate is not None:
            assert sum(rate or 0.0 for rate in rates) == pytest.approx(activity.rate)


def test_spare_people_are_divided_too() -> None:
    plan = scenario.parse(GOOD.replace("size = 2", "size = 2\ncount = 3"), "few")
    parts = [plan.share(number, 2) for number in range(2)]
    assert [part.conversation_count for part in parts] == [1, 2]
    assert sum(part.people for part in parts) == 20
