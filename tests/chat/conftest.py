"""One server for all stories; each has people of its own."""

from collections.abc import Iterator

import pytest

from tests.replay.server import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("chat") / "data", places=(("--tcp", "127.0.0.1:0"),)) as process:
        yield process
