from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from tests.unit.gateway.gateway_rows import make_engine


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[Connection]:
    """A transaction on a fresh database."""
    engine = make_engine(tmp_path / "jobs.db")
    with engine.begin() as connection:
        yield connection
    engine.dispose()
