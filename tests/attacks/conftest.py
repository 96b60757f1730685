"""One server for the cases of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.victim import Victim, attacked


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """The server that is attacked."""
    with attacked(tmp_path_factory.mktemp("data")) as server:
        yield server
