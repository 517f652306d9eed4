"""Of several wishes the strictest counts, in any order; quiet is what the clock on the wall says."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from clearhold.parties.subjects import covering, of_domain, of_package, parse
from clearhold.parties.wish import (
    FULL,
    NOTHING,
    QUIET,
    WEEK,
    Allowed,
    Channel,
    EmbargoPolicy,
    Held,
    QuietHours,
    Refused,
    Wishes,
    check,
    from_plain,
    may_contact,
    quiet_until,
    strictest,
    to_plain,
)

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")
clocks = st.builds(time, st.integers(0, 23), st.integers(0, 59))
hours = st.builds(
    QuietHours,
    st.sampled_from(ZONES),
    clocks,
    clocks,
    st.lists(st.integers(0, 6), max_size=3, unique=True).map(lambda days: tuple(sorted(days))),
).filter(lambda each: each.start != each.end)
caps = st.none() | st.integers(1, 20)
days = st.none() | st.integers(0, 366)
wishes = st.builds(
    Wishes,
    do_not_scan=st.booleans(),
    do_not_contact=st.booleans(),
    most_open=caps,
    most_weekly=caps,
    quiet=st.lists(hours, max_size=2, unique=True).map(lambda each: tuple(sorted(each))),
    channels=st.lists(st.sampled_from(Channel), max_size=2, unique=True).map(
        lambda each: tuple(sorted(each))
    ),
    embargo=st.builds(EmbargoPolicy, days, days, days, st.booleans()),
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(  # noqa: DTZ001
    lambda each: each.replace(tzinfo=UTC)
)
NOW = datetime(2026, 6, 5, 12, tzinfo=UTC)


@given(st.lists(wishes, max_size=4), st.randoms())
def test_the_strictest_wins_whatever_the_order(given_: list[Wishes], random: object) -> None:
    shuffled = list(given_)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    together = strictest(given_)
    assert strictest(shuffled) == together
    assert strictest([*given_, *given_]) == together
    for each in given_:
        assert together.do_not_scan >= each.do_not_scan
        assert together.do_not_contact >= each.do_not_contact
        if each.most_open is not None:
            assert together.most_open is not None
            assert together.most_open <= each.most_open
        assert set(each.quiet) <= set(together.quiet)
        assert together.embargo.bounds[1] <= each.embargo.bounds[1]


@given(wishes, st.lists(wishes, max_size=3), moments, st.integers(0, 25))
@settings(deadline=None)
def test_what_one_wish_forbids_no_other_allows(
    one: Wishes, others: list[Wishes], now: datetime, open_cases: int
) -> None:
    alone = may_contact(one, now, open_cases=open_cases, begun=[])
    together = may_contact(strictest([one, *others]), now, open_cases=open_cases, begun=[])
    if isinstance(together, Allowed):
        assert isinstance(alone, Allowed)
    if isinstance(alone, Refused):
        assert isinstance(together, Refused)


@given(wishes)
def test_a_wish_is_kept_as_it_was_made(wished: Wishes) -> None:
    assert from_plain(to_plain(wished)) == wished


@given(hours, moments)
@settings(deadline=None)
def test_quiet_hours_end_at_the_first_minute_that_is_not_quiet(
    quiet: QuietHours, now: datetime
) -> None:
    ends = quiet_until((quiet,), now)
    assert (ends is None) == (not quiet.covers(now))
    if ends is not None:
        assert ends > now
        assert not quiet.covers(ends)
        assert quiet.covers(ends - timedelta(minutes=1))
        assert ends - now < timedelta(days=7)


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        # The night of 29 March 2026 has no 02:00 to 03:00 in Berlin, that of 25 October has two.
        (datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 3, 29, 6, tzinfo=UTC)),
        (datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 7, tzinfo=UTC)),
        (datetime(2026, 7, 1, 22, tzinfo=UTC), datetime(2026, 7, 2, 6, tzinfo=UTC)),
    ],
)
def test_eight_in_the_morning_is_eight_on_the_wall_over_changes_of_the_clock(
    now: datetime, ends: datetime
) -> None:
    night = QuietHours("Europe/Berlin", time(22), time(8))
    assert quiet_until((night,), now) == ends
    assert ends.astimezone(ZoneInfo("Europe/Berlin")).time() == time(8)
    held = may_contact(Wishes(quiet=(night,)), now, open_cases=0, begun=())
    assert held == Held(QUIET, ends)


def test_an_hour_that_does_not_exist_on_a_day_ends_quiet_with_the_gap() -> None:
    night = QuietHours("Europe/Berlin", time(22), time(2, 30))
    ends = quiet_until((night,), datetime(2026, 3, 29, 0, 30, tzinfo=UTC))
    assert ends == datetime(2026, 3, 29, 1, tzinfo=UTC)  # 03:00 on the wall, right after 01:59


@given(st.lists(st.integers(0, 20 * 24 * 60), max_size=12), st.integers(1, 5))
def test_a_weekly_cap_is_free_again_exactly_when_a_case_is_a_week_old(
    ages: list[int], cap: int
) -> None:
    begun = [NOW - timedelta(minutes=age) for age in ages]
    wished = Wishes(most_weekly=cap)
    answer = may_contact(wished, NOW, open_cases=0, begun=begun)
    recent = [each for each in begun if each > NOW - WEEK]
    assert isinstance(answer, Held) == (len(recent) >= cap)
    if isinstance(answer, Held):
        assert answer.due_at is not None
        moment = timedelta(microseconds=1)
        assert isinstance(may_contact(wished, answer.due_at, open_cases=0, begun=begun), Allowed)
        before = may_contact(wished, answer.due_at - moment, open_cases=0, begun=begun)
        assert isinstance(before, Held)


def test_an_open_cap_is_plain_and_waits_for_a_case_to_close() -> None:
    answer = may_contact(Wishes(most_open=3), NOW, open_cases=3, begun=())
    assert answer == Held(FULL, None)


@given(st.builds(EmbargoPolicy, days, days, days, st.booleans()), st.integers(0, 366))
def test_the_usual_embargo_lies_within_the_policy(policy: EmbargoPolicy, length: int) -> None:
    fewest, most = policy.bounds
    assert fewest <= most
    if policy.usual is not None:
        assert policy.outside(timedelta(days=policy.usual)) == ""
    assert (policy.outside(timedelta(days=length)) == "") == (fewest <= length <= most)


@pytest.mark.parametrize(
    "wrong",
    [
        NOTHING,
        Wishes(most_open=0),
        Wishes(quiet=(QuietHours("Mars/Olympus", time(1), time(2)),)),
        Wishes(quiet=(QuietHours("../../etc/passwd", time(1), time(2)),)),
        Wishes(quiet=(QuietHours("UTC", time(1), time(1)),)),
        Wishes(quiet=(QuietHours("UTC", time(1), time(2), tuple(range(7))),)),
        Wishes(embargo=EmbargoPolicy(shortest=30, longest=10)),
        Wishes(embargo=EmbargoPolicy(longest=367)),
    ],
)
def test_what_cannot_be_wished_is_refused(wrong: Wishes) -> None:
    with pytest.raises(InvalidError):
        check(wrong)


@pytest.mark.parametrize(
    ("text", "package", "covered"),
    [
        ("pkg:pypi/foo", "pkg:pypi/Foo@1.0", True),
        ("pkg:pypi/foo@1.0", "pkg:pypi/foo@2.0?x=y#z", True),
        ("pkg:pypi/foo", "pkg:pypi/foobar@1", False),
        ("pkg:npm/%40scope/", "pkg:npm/%40scope/core@1", True),
        ("pkg:npm/%40scope/", "pkg:npm/%40scope2/core@1", False),
        ("pkg:golang/example.org/a/", "pkg:golang/example.org/a/b/c@1", True),
        ("pkg:golang/example.org/a/", "pkg:golang/example.org/ab/c@1", False),
        ("https://github.com/Owner/Name.git", "pkg:github/owner/name@v1", True),
        ("https://github.com/owner/name", "pkg:github/owner/other", False),
    ],
)
def test_a_subject_covers_its_packages_and_no_others(
    text: str,
    package: str,
    covered: bool,  # noqa: FBT001
) -> None:
    assert (parse(text).text in covering(of_package(Purl.parse(package)))) is covered


def test_a_domain_covers_those_below_it() -> None:
    over = covering(of_domain("A.b.Example.org."))
    assert over == ("domain:a.b.example.org", "domain:b.example.org", "domain:example.org")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pkg:pypi/",
        "pkg:npm//",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "example.org:8443",
        "a b.org",
        "http://github.com/a/b",
        "https://github.com/a",
        "https://github.com/a/../b",
        "https://github.com/a/b/c",
        "https://evil.example/a/b",
        "https://github.com@evil.example/a/b",
        "-x.org",
        "x" * 2000,
    ],
)
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        parse(text)


@given(st.text(max_size=60) | st.from_regex(r"(pkg:|https://github.com/)[ -~]{0,40}"))
@settings(deadline=None)
def test_any_text_names_one_canonical_thing_or_is_refused(text: str) -> None:
    try:
        found = parse(text)
    except InvalidError:
        pass
    else:
        assert parse(found.text) == found
        assert covering(found)[0] == found.text
