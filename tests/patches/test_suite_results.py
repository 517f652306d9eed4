"""Results of test runners are read to names, and steady breaks told from flakes."""

from __future__ import annotations

from collections.abc import Iterator

from clearhold.validation.suite import SuiteRun, compare_builds
from clearhold.validation.suite_results import read_results, read_tap

ALL = frozenset("abcdef")


def _run(
    passed: str, failed: str = "", skipped: str = "", *, ending: str = "", partial: bool = False
) -> SuiteRun:
    return SuiteRun(frozenset(passed), frozenset(failed), frozenset(skipped), ending, 1.0, partial)


def test_the_test_anything_protocol_is_read_as_far_as_it_was_written() -> None:
    written = (
        b"TAP version 13\n# first group\nok 1 - adds\nnot ok 2 - takes away\n"
        b"ok 3 - later # SKIP no clock\n# second group\nok 4 - adds\nok 5 adds\n1..9\nok 6"
    )
    assert read_tap(written) == {
        "first group::adds": "passed",
        "first group::takes away": "failed",
        "first group::later": "skipped",
        "second group::adds": "passed",
        "second group::adds#2": "passed",
        "second group::number 6": "passed",
    }


def test_ctests_own_results_are_read() -> None:
    document = (
        b"<Site><Testing><TestList><Test>./one</Test></TestList>"
        b'<Test Status="passed"><Name>one</Name></Test>'
        b'<Test Status="failed"><Name>two</Name></Test>'
        b'<Test Status="notrun"><Name>three</Name></Test></Testing></Site>'
    )
    assert read_results({"Test.xml": document}) == {
        "one": "passed",
        "two": "failed",
        "three": "skipped",
    }


def test_a_run_that_leaves_nothing_has_no_results() -> None:
    assert read_results({"other.xml": b"<x/>"}) is None


def _compared(baselines: list[SuiteRun], patched: list[SuiteRun]) -> tuple[object, list[float]]:
    asked: list[float] = []
    coming: Iterator[SuiteRun] = iter(patched)

    def run(factor: float) -> SuiteRun:
        asked.append(factor)
        return next(coming)

    return compare_builds(lambda runs: baselines[: max(runs, 2)], run), asked


def test_a_test_that_fails_once_by_itself_is_set_aside_and_named() -> None:
    compared, _ = _compared([_run("abcde"), _run("abcd", "e")], [_run("abcd", "e")])
    assert compared.no_worse
    assert compared.flaky == ("e",)
    assert "flaky: e" in compared.summary


def test_a_break_must_show_each_time() -> None:
    steady = [_run("abcde")] * 3
    sometimes, asked = _compared(steady, [_run("abcd", "e"), _run("abcde"), _run("abcd", "e")])
    assert sometimes.no_worse
    assert sometimes.flaky == ("e",)
    always, _ = _compared(steady, [_run("abcd", "e")] * 3)
    assert (always.broken, asked) == (("e",), [1.0, 1.0, 1.0])


def test_tests_that_are_skipped_now_are_lost_and_said_to_be() -> None:
    compared, _ = _compared([_run("abcde")] * 3, [_run("abc", "", "de")] * 3)
    assert compared.lost == compared.skipped == ("d", "e")
    assert "2 of them skipped now" in compared.summary


def test_who_runs_out_of_time_gets_more_of_it_once() -> None:
    late = _run("ab", ending="they exceeded their time", partial=True)
    compared, asked = _compared([_run("abcde")] * 3, [late, _run("abcde"), _run("abcde")])
    assert compared.no_worse
    assert asked[1:] == [2.0, 2.0]
    never, _ = _compared([_run("abcde")] * 3, [late] * 3)
    assert never.lost == ("c", "d", "e")


def test_tests_that_are_cut_off_without_the_patch_too_are_compared_as_far_as_they_went() -> None:
    cut = _run("abcd", ending="they exceeded their time", partial=True)
    compared, _ = _compared([cut, cut], [cut])
    assert compared.no_worse
    assert "only those that ran" in compared.summary


def test_too_few_steady_tests_are_said_to_show_nothing() -> None:
    compared, _ = _compared([_run("a", "b"), _run("ab")], [_run("ab")])
    assert not compared.telling
    assert "too few" in compared.summary
