"""An advisory that cannot be published truthfully cannot be made."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from drawn_advisories import NOW, PUBLISHER, UJSON, advisories, make_advisory
from hypothesis import given, settings

from clearhold.advisories.model import Advisory, Credit, Product, Reference, Revision
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Range, Verdict, judge


def test_an_advisory_answers_for_its_packages() -> None:
    advisory = make_advisory()
    assert advisory.cve == "CVE-2021-45958"
    assert advisory.revision == 1
    assert judge("5.1.0", advisory.affected["pkg:pypi/ujson"]).verdict is Verdict.AFFECTED
    assert UJSON.fixed_versions == ("5.4.0", "5.1.1")
    assert UJSON.advice == "Update pkg:pypi/ujson to version 5.4.0."
    assert replace(UJSON, remediation="Do not indent.").advice == "Do not indent."


@settings(max_examples=50, deadline=None)
@given(advisories())
def test_no_fixed_version_is_affected(advisory: Advisory) -> None:
    for product in advisory.products:
        for version in product.fixed_versions:
            assert judge(version, product.affected).verdict is not Verdict.AFFECTED


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "no spaces"},
        {"title": ""},
        {"title": "two\nlines"},
        {"title": "x" * 251},
        {"summary": " "},
        {"details": "x" * 4001},
        {"details": "bell \x07"},
        {"aliases": ("CVE-2021-1111", "CVE-2021-2222")},
        {"aliases": ("https://example.org",)},
        {"weaknesses": ("121",)},
        {"cvss": ("high",)},
        {"products": ()},
        {"products": (UJSON, UJSON)},
        {"references": ()},
        {"history": ()},
        {"history": (Revision(2, NOW, "Second first."),)},
        {"history": (Revision(1, NOW + timedelta(days=1), "Late."),)},
        {"modified": NOW + timedelta(days=1)},
        {"published": datetime(2026, 11, 23)},  # noqa: DTZ001 # a time without a zone is the point
    ],
)
def test_a_wrong_member_is_refused_with_a_next_step(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidError) as caught:
        make_advisory(**changes)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "changes",
    [
        {"package": "pkg:pypi/ujson@5.1.0"},
        {"package": "pkg:pypi/UJSON"},
        {"package": "ujson"},
        {"package": "pkg:maven/a/b"},
        {"vendor": ""},
        {"ranges": (), "versions": ()},
        {"ranges": (Range("1.0", "1.0"),)},
        {"ranges": (Range("2.0", None, "1.0"),)},
        {"ranges": (Range("1.0", "2.0", "3.0"),)},
        {"ranges": (Range("one", "2.0"),)},
        {"ranges": (Range("0", "zwei"),)},
        {"ranges": (Range("0", "5.4.0", "5.3.0"),)},
        {"versions": ("5.4.0",)},
        {"versions": ("",)},
        {"versions": ("5 .1",)},
        {"fixed_version": "5.3.1"},
        {"remediation": "\x00"},
    ],
)
def test_a_product_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidError) as caught:
        replace(UJSON, **changes)
    assert caught.value.next_step


def test_a_package_without_a_known_version_order_may_list_versions() -> None:
    product = Product("pkg:maven/org.example/lib", "Example", "Maven", (), ("1.0", "1.1"), "1.2")
    assert judge("1.1", product.affected).verdict is Verdict.AFFECTED
    assert judge("1.3", product.affected).verdict is Verdict.UNDETERMINED


def test_people_and_places_are_checked() -> None:
    for changes in (
        {"name": ""},
        {"namespace": "ftp://hub.example.org"},
        {"namespace": "https://[hub"},
        {"cve_org_id": "not-a-uuid"},
        {"cve_org_id": "8254265b-2729-16b6-b9e3-3dfca2d5bfca"},
        {"cve_short_name": "x"},
    ):
        with pytest.raises(InvalidError):
            replace(PUBLISHER, **changes)
    with pytest.raises(InvalidError):
        Reference("javascript:alert(1)", "x")
    with pytest.raises(InvalidError):
        Reference("https://example.org", "")
    with pytest.raises(InvalidError):
        Credit("")
