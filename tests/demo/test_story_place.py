"""Where the demo keeps its story: one at a time, cleared when it ended, and plain words on failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clearhold.demo.house import Place
from clearhold.kernel.errors import ConflictError


def test_two_stories_are_not_told_in_one_directory_at_once(open_path: Path) -> None:
    first, second = (Place(open_path / "story", open_path / "cache") for _ in range(2))
    with first.held():
        with pytest.raises(ConflictError) as refused, second.held():
            pytest.fail("two at once")
        assert "--directory" in refused.value.next_step
    with second.held():
        assert not second.begin()


def test_an_ended_story_is_cleared_away_while_its_directory_stays_held(open_path: Path) -> None:
    story, other = (Place(open_path / "story", open_path / "cache") for _ in range(2))
    with story.held():
        assert not story.begin()
        assert story.begin()
        (story.root / "hub").mkdir()
        story.finish()
        assert not story.begin()
        assert {each.name for each in story.root.iterdir()} == {"began"}
        (story.root / "notes.txt").write_text("somebody else's")
        story.finish()
        assert not story.begin()
        assert {each.name for each in story.root.iterdir()} == {"began", "notes.txt"}
        with pytest.raises(ConflictError), other.held():
            pytest.fail("two at once")


def test_a_directory_that_holds_something_else_is_refused_and_left_as_it_is(
    open_path: Path,
) -> None:
    photographs = open_path / "photographs"
    photographs.mkdir()
    (open_path / "hub").mkdir()
    with pytest.raises(ConflictError, match="something else than a demo") as refused:
        Place(open_path, open_path / "cache").begin()
    assert "--directory" in refused.value.next_step
    assert {each.name for each in open_path.iterdir()} == {"photographs", "hub"}


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
    assert "A directory is needed and something else is there" in done.stderr
    assert "next:" in done.stderr
