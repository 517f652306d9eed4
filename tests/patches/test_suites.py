"""A project's tests are compared as sets with the unpatched baseline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.suite import SuiteRun, compare, read_junit, run_suite

NAMES = st.frozensets(st.sampled_from("abcdefgh"))


def _run(*, passed: frozenset[str], failed: frozenset[str], ending: str = "") -> SuiteRun:
    return SuiteRun(passed, failed - passed, frozenset(), ending, 1.0)


@given(NAMES, NAMES, NAMES, NAMES)
def test_a_run_is_no_worse_exactly_when_all_that_passed_still_passes(
    passed: frozenset[str], failed: frozenset[str], now: frozenset[str], bad: frozenset[str]
) -> None:
    compared = compare(_run(passed=passed, failed=failed), _run(passed=now, failed=bad))
    assert compared.no_worse == (passed <= now)
    assert set(compared.broken) | set(compared.lost) == passed - now
    assert set(compared.mended) == (failed - passed) & now


def test_failures_that_were_there_before_are_not_held_against_a_patch() -> None:
    both = _run(passed=frozenset("a"), failed=frozenset("b"))
    compared = compare(both, both)
    assert compared.no_worse
    assert "1 fail with and without" in compared.summary


def test_tests_that_were_made_to_vanish_are_counted_as_lost() -> None:
    gone = _run(passed=frozenset(), failed=frozenset(), ending="they ended with exit code 5")
    compared = compare(_run(passed=frozenset("ab"), failed=frozenset()), gone)
    assert not compared.no_worse
    assert compared.lost == ("a", "b")
    assert "exit code 5" in compared.summary


def test_outcomes_are_read_from_junit_and_repeated_names_kept_apart() -> None:
    document = (
        b'<testsuites><testsuite><testcase classname="t" name="one"/>'
        b'<testcase classname="t" name="one"><failure/></testcase>'
        b'<testcase classname="t" name="two"><skipped/></testcase>'
        b'<testcase classname="t" name="three"><error/></testcase></testsuite></testsuites>'
    )
    assert read_junit(document) == {
        "t::one": "passed",
        "t::one#2": "failed",
        "t::two": "skipped",
        "t::three": "failed",
    }


@pytest.mark.parametrize(
    "hostile",
    [b"", b"not xml", b'<!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>', b"<!doctype x><x/>", b"<x>"],
)
def test_results_that_are_no_plain_document_are_refused(hostile: bytes) -> None:
    with pytest.raises(InvalidError):
        read_junit(hostile)


def test_the_projects_own_tests_run_in_the_sandbox(laboratory: Laboratory, ujson: Recipe) -> None:
    build = laboratory.build(ujson, Side.VULNERABLE, flavour=Flavour.PLAIN)
    ran = run_suite(laboratory, build)
    assert len(ran.passed) > 100, ran.ending
    assert any("test_encode_indent" in name for name in ran.passed)
