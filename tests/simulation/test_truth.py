"""What is known of the server's data while there is none to look at."""

from __future__ import annotations

from tools.history.checker import History
from tools.simulate.truth import Truth


def test_nobody_shows_that_he_is_there_while_the_restored_data_is_not_open() -> None:
    """A device that has not noticed yet that it is cut off is asked about even then."""
    truth = Truth(History())
    truth.restored({})
    assert not truth.shows_presence(1)
