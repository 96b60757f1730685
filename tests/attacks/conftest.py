"""One server for the cases of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.victim import Victim, attacked
from wirechat.server import passwords


@pytest.fixture(scope="module", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Passwords cost little here: the cases count how many are checked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "MEMORY_KIB", 64)
        yield


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """The server that is attacked."""
    with attacked(tmp_path_factory.mktemp("data")) as server:
        yield server
