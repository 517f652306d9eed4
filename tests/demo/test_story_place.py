"""Where the demo keeps its story: one at a time, cleared when it ended, and plain words on failure."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from clearhold.demo.house import Place
from clearhold.kernel.errors import ConflictError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that the sandbox's own user may enter."""
    for each in (tmp_path, *tmp_path.parents):
        if Path(tempfile.gettempdir()) in each.parents:
            each.chmod(each.stat().st_mode | 0o011)
    return tmp_path


def test_two_stories_are_not_told_in_one_directory_at_once(place: Path) -> None:
    first, second = (Place(place / "story", place / "cache") for _ in range(2))
    with first.held():
        with pytest.raises(ConflictError) as refused, second.held():
            pytest.fail("two at once")
        assert "--directory" in refused.value.next_step
    with second.held():
        assert not second.begin()


def test_an_ended_story_is_cleared_away_while_its_directory_stays_held(place: Path) -> None:
    story, other = (Place(place / "story", place / "cache") for _ in range(2))
    with story.held():
        assert not story.begin()
        assert story.begin()
        (story.root / "hub").mkdir()
        story.finish()
        assert not story.begin()
        assert {each.name for each in story.root.iterdir()} == {"began"}
        with pytest.raises(ConflictError), other.held():
            pytest.fail("two at once")


def test_a_directory_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "clearhold", "demo", "--directory", str(tmp_path / "file" / "x")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=dict(os.environ),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "could not be read or written" in done.stderr
    assert "next:" in done.stderr
