from datetime import UTC, datetime
from pathlib import Path

import pytest

from clearhold.adapters.publisher_tuf import TufPublisher

START = datetime(2026, 6, 5, 12, tzinfo=UTC)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def publisher(repository: Path, tmp_path: Path) -> TufPublisher:
    made = TufPublisher(repository, tmp_path / "keys")
    made.initialise(START)
    return made
