"""Tasks that are committed to beforehand, and opened without opening the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.evaluations.sealing import SealedTask, opens, seal, still_sealed

suites = st.dictionaries(
    st.tuples(st.text("abc-1", min_size=1, max_size=8), st.just(1)),
    st.binary(max_size=40),
    min_size=1,
    max_size=20,
)


@given(suites, st.data())
def test_every_task_opens_and_no_other_content_does(
    contents: dict[tuple[str, int], bytes], data: st.DataObject
) -> None:
    suite = seal(contents)
    name, version = data.draw(st.sampled_from(sorted(contents)))
    opening = suite.open(name)
    content = contents[name, version]
    assert opens(opening, content, suite.commitment)
    assert not opens(opening, content + b"!", suite.commitment)
    changed = [
        replace(opening, task=replace(opening.task, version=2)),
        replace(opening, salt=bytes(32)),
        replace(opening, index=opening.index + 1),
        replace(opening, proof=(*opening.proof, bytes(32))),
    ]
    assert not any(opens(each, content, suite.commitment) for each in changed)


@given(suites)
def test_the_same_tasks_sealed_again_have_another_root(
    contents: dict[tuple[str, int], bytes],
) -> None:
    assert seal(contents).commitment.root != seal(contents).commitment.root


def test_a_commitment_and_an_opening_tell_nothing_of_other_tasks() -> None:
    suite = seal({(f"task-{n}", 1): f"secret {n}".encode() for n in range(5)})
    shown = repr(suite.commitment) + repr(suite.open("task-2")) + repr(suite.salts)[:0]
    assert "task-3" not in shown
    assert "salts" not in repr(suite)
    assert still_sealed(suite, ["task-2"]) == ["task-0", "task-1", "task-3", "task-4"]
    with pytest.raises(KeyError):
        suite.open("task-9")


@pytest.mark.parametrize(
    ("name", "version", "digest"),
    [("", 1, bytes(32)), ("a\nb", 1, bytes(32)), ("a", 0, bytes(32)), ("a", 1, b"short")],
)
def test_what_could_be_read_in_two_ways_is_no_task(name: str, version: int, digest: bytes) -> None:
    with pytest.raises(ValueError, match=r"task|version"):
        SealedTask(name, version, digest)


def test_an_empty_suite_or_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="each once"):
        seal({})
    with pytest.raises(ValueError, match="each once"):
        seal({("a", 1): b"", ("a", 2): b""})
