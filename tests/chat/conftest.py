"""One server for all stories, each with people of its own; a scripted one for what needs no network."""

from collections.abc import Iterator

import pytest

from tests.client.conftest import opened, stage
from tests.replay.server import ServerProcess

__all__ = ["opened", "stage"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("chat") / "data", places=(("--tcp", "127.0.0.1:0"),)) as process:
        yield process
