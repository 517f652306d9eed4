"""What of a scan others may learn, decided without a database."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import InvalidError
from clearhold.scanning import paths as globs
from clearhold.scanning.coverage_model import (
    MOST_ENTRIES,
    MOST_OF_ONE,
    Entry,
    Many,
    NewCoverage,
    Result,
    area_of,
    areas_of,
    check,
    map_of,
    monday_of,
    showable,
    week_of,
    with_entry,
)
from clearhold.scanning.model import Depth, Outcome

WEEK = 2944

entries = st.builds(
    Entry,
    token=st.uuids().map(str),
    who=st.sampled_from("abcdefghijkl"),
    state=st.sampled_from(["1.0", "1.1"]),
    technique=st.sampled_from([Technique.FUZZING, Technique.STATIC]),
    areas=st.sampled_from([("**",), ("lib/",), ("./", "lib/")]),
    depth=st.sampled_from(Depth),
    week=st.integers(WEEK - 60, WEEK + 1),
    completed=st.booleans(),
)


@given(st.lists(entries, max_size=25, unique_by=lambda each: each.token), st.randoms())
def test_a_map_is_the_same_whatever_the_order_in_which_scans_came(
    found: list[Entry], chance: random.Random
) -> None:
    mixed = list(found)
    chance.shuffle(mixed)
    kept: tuple[Entry, ...] = ()
    for each in mixed:
        kept = with_entry(kept, each)
    assert map_of(kept, this_week=WEEK) == map_of(found, this_week=WEEK)


@given(st.lists(entries, max_size=25), entries)
def test_nothing_of_a_week_that_has_not_ended_changes_the_map(
    found: list[Entry], new: Entry
) -> None:
    now = replace(new, week=WEEK)
    assert map_of([*found, now], this_week=WEEK) == map_of(found, this_week=WEEK)
    rows = map_of(found, this_week=WEEK)
    assert all(row.last_week < monday_of(WEEK) for row in rows)


@given(st.lists(entries, min_size=1, max_size=40))
def test_the_map_names_no_party_and_counts_coarsely(found: list[Entry]) -> None:
    rows = map_of([replace(each, who=f"secret-{each.who}") for each in found], this_week=WEEK)
    assert "secret" not in repr(rows)
    assert all(isinstance(row.scans, Many) and isinstance(row.result, Result) for row in rows)


def test_one_party_cannot_push_others_out_of_a_map() -> None:
    one = Entry("t", "honest", "1.0", Technique.FUZZING, ("**",), Depth.DEEP, 1, completed=True)
    kept = with_entry((), one)
    for n in range(MOST_OF_ONE + 50):
        flood = replace(one, token=f"{n:05}", who="flood", week=WEEK - 1)
        kept = with_entry(kept, flood)
    assert one in kept
    assert len(kept) == MOST_OF_ONE + 1
    for n in range(MOST_ENTRIES):
        kept = with_entry(kept, replace(one, token=f"x{n}", who=f"w{n}", week=2))
    assert len(kept) == MOST_ENTRIES


@pytest.mark.parametrize(
    ("paths", "areas"),
    [
        (("lib/ultrajsonenc.c", "lib/deep/er.c"), ("lib/",)),
        (("setup.py", "python/**"), ("./", "python/")),
        (("**", "lib/x.c"), ("**",)),
        (("**/secret.c",), ("?",)),
        (("l*b/x.c",), ("?",)),
    ],
)
def test_areas_name_no_file_and_no_deeper_directory(
    paths: tuple[str, ...], areas: tuple[str, ...]
) -> None:
    assert areas_of(map(globs.normal, paths)) == areas


@given(st.text(max_size=128))
def test_whatever_a_glob_holds_its_area_can_be_shown(text: str) -> None:
    try:
        glob = globs.normal(text)
    except InvalidError:
        return
    area = area_of(glob)
    assert area in {"**", "?", "./"} or showable(area[:-1].lstrip(".") or "a")
    assert area.isascii()
    assert area.isprintable()


@pytest.mark.parametrize(
    "wrong",
    [
        {"commit": "main"},
        {"commit": "AB" * 20},
        {"version": "1.0\x1b[31m"},
        {"version": "1.0 call me"},
        {"functions": ("f" * 257,)},
        {"functions": ("bad\x00",)},
        {"functions": ("f",) * 257},
        {"result_sha256": "AB" * 32},
        {"effort": {"x" * 41: 1}},
        {"effort": {f"e{'_' * n}": 1 for n in range(17)}},
    ],
)
def test_what_no_scan_can_have_covered_is_refused(wrong: dict[str, object]) -> None:
    plain: dict[str, object] = {
        "outcome": Outcome.NOTHING_FOUND,
        "effort": {},
        "result_sha256": "ab" * 32,
    }
    check(NewCoverage(**plain))  # type: ignore[arg-type]
    with pytest.raises(InvalidError):
        check(NewCoverage(**plain | wrong))  # type: ignore[arg-type]


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001  # made aware
def test_a_week_begins_on_monday_in_utc(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    monday = monday_of(week_of(aware))
    assert monday.weekday() == 0
    assert timedelta(0) <= aware.date() - monday < timedelta(days=7)
