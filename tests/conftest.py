"""What tests of several wings share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store.cluster import Cluster, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One PostgreSQL for the whole session; one that cannot start is an error, never a skip."""
    with running() as server:
        yield server


@pytest.fixture
def url(cluster: Cluster) -> str:
    """An empty database of it."""
    return cluster.place()
