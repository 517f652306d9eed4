"""Three verdicts, and a parse error is never "not affected"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Affected, Range, Verdict, judge
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for

UJSON = Affected("pypi", (Range("1.34", "5.1.1"), Range("5.2", "5.4.0")), ("6.0",))


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("1.33", Verdict.NOT_AFFECTED),
        ("1.34", Verdict.AFFECTED),
        ("5.1.0", Verdict.AFFECTED),
        ("5.1.1", Verdict.NOT_AFFECTED),
        ("5.4.0rc1", Verdict.AFFECTED),
        ("5.4.0", Verdict.NOT_AFFECTED),
        ("5.4.0+local", Verdict.NOT_AFFECTED),
        ("6.0.0", Verdict.AFFECTED),
        ("6.0+vendor1", Verdict.UNDETERMINED),
        ("unknown", Verdict.UNDETERMINED),
    ],
)
def test_a_version_is_judged_by_ranges_and_list(version: str, verdict: Verdict) -> None:
    judgement = judge(version, UJSON)
    assert judgement.verdict is verdict
    assert version in judgement.reason


def test_a_listed_version_is_affected_even_when_it_cannot_be_read() -> None:
    affected = Affected("pypi", (), ("0.1-bulbasaur",))
    assert judge("0.1-bulbasaur", affected).verdict is Verdict.AFFECTED
    assert judge("0.2-bulbasaur", affected).verdict is Verdict.UNDETERMINED


@pytest.mark.parametrize(
    "affected",
    [
        Affected("pypi"),
        Affected("maven", (Range(),)),
        Affected("pypi", (Range("1.0", "zwei"),)),
        Affected("pypi", (Range("2.0", "1.0"),)),
        Affected("pypi", (Range("2.0", None, "1.0"),)),
        Affected("pypi", (Range("1.0", "2.0", "3.0"),)),
    ],
)
def test_an_advisory_that_cannot_be_read_leaves_the_version_undetermined(
    affected: Affected,
) -> None:
    judgement = judge("1.5", affected)
    assert judgement.verdict is Verdict.UNDETERMINED
    assert judgement.reason


def test_one_unreadable_range_does_not_hide_another_that_holds() -> None:
    affected = Affected("pypi", (Range("1.0", "zwei"), Range("1.0", "2.0")))
    assert judge("1.5", affected).verdict is Verdict.AFFECTED
    assert judge("3.0", affected).verdict is Verdict.UNDETERMINED


def test_the_last_affected_version_is_affected() -> None:
    affected = Affected("deb", (Range("0", None, "1.2.11.dfsg-2"),))
    assert judge("1:1.2.11.dfsg-2", affected).verdict is Verdict.NOT_AFFECTED
    assert judge("1.2.11.dfsg-2", affected).verdict is Verdict.AFFECTED
    assert judge("1.2.11.dfsg-2+deb11u2", affected).verdict is Verdict.NOT_AFFECTED


small = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda pair: f"{pair[0]}.{pair[1]}")


@given(small, small, small)
def test_a_half_open_range_holds_exactly_what_lies_in_it(version: str, low: str, high: str) -> None:
    scheme = scheme_for("pypi")
    verdict = judge(version, Affected("pypi", (Range(low, high),))).verdict
    if scheme.compare(low, high) >= 0:
        assert verdict is Verdict.UNDETERMINED
    else:
        inside = scheme.compare(low, version) <= 0 < scheme.compare(high, version)
        assert verdict is (Verdict.AFFECTED if inside else Verdict.NOT_AFFECTED)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_judging_never_raises_and_unreadable_is_never_clean(a: str, b: str, c: str) -> None:
    judgement = judge(a, Affected("npm", (Range(b, c),)))
    assert judgement.reason
    try:
        scheme_for("npm").key(a)
    except InvalidError:
        assert judgement.verdict is not Verdict.NOT_AFFECTED


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("pkg:pypi/UJSON@5.1.0", "pkg:pypi/ujson@5.1.0"),
        ("pkg:PyPI/ruamel_yaml", "pkg:pypi/ruamel-yaml"),
        ("pkg:deb/debian/zlib@1:1.2.11?arch=amd64", "pkg:deb/debian/zlib@1:1.2.11?arch=amd64"),
        ("pkg:nuget/Newtonsoft.Json@13.0.1", "pkg:nuget/newtonsoft.json@13.0.1"),
        ("pkg:deb/Debian/zlib@1.3", "pkg:deb/debian/zlib@1.3"),
        ("pkg:rpm/Fedora/curl@8.1", "pkg:rpm/fedora/curl@8.1"),
        ("pkg:npm/%40angular/core@1.0.0+x", "pkg:npm/%40angular/core@1.0.0%2Bx"),
    ],
)
def test_a_package_url_is_normalised(text: str, canonical: str) -> None:
    purl = Purl.parse(text)
    assert str(purl) == canonical
    assert Purl.parse(str(purl)) == purl


def test_the_package_of_a_purl_has_no_version_or_qualifier() -> None:
    purl = Purl.parse("pkg:deb/debian/zlib@1.2.11?arch=amd64#src")
    assert str(purl.package) == "pkg:deb/debian/zlib"
    assert purl.version == "1.2.11"
    assert str(purl.package.at("2")) == "pkg:deb/debian/zlib@2"


@pytest.mark.parametrize(
    "text",
    ["", "ujson", "pkg:", "pkg:pypi", "pkg:pypi/", "pkg:pypi/a%00b", "pkg:pypi/" + "a" * 1100],
)
def test_a_bad_package_url_is_refused_with_a_next_step(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        Purl.parse(text)
    assert caught.value.next_step


@given(st.one_of(st.text(), st.text().map(lambda text: "pkg:pypi/" + text)))
def test_any_text_is_a_package_url_or_refused(text: str) -> None:
    try:
        purl = Purl.parse(text)
    except InvalidError:
        return
    assert Purl.parse(str(purl)) == purl
