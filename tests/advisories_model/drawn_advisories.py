"""Advisories as hypothesis draws them, and one to look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from clearhold.advisories.model import (
    Advisory,
    Credit,
    CreditRole,
    Product,
    Publisher,
    Reference,
    ReferenceKind,
    Revision,
    Tlp,
)
from clearhold.kernel.matching import Range

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PUBLISHER = Publisher(
    name="Example Clearinghouse",
    namespace="https://hub.example.org",
    cve_org_id="8254265b-2729-46b6-b9e3-3dfca2d5bfca",
    cve_short_name="example",
)
UJSON = Product(
    package="pkg:pypi/ujson",
    vendor="ultrajson",
    ecosystem="PyPI",
    ranges=(Range("1.34", "5.1.1"), Range("5.2.0", "5.4.0")),
    versions=("5.1.0", "5.3.0"),
    fixed_version="5.4.0",
)


def make_advisory(**changes: object) -> Advisory:
    members: dict[str, object] = {
        "id": "CLEARHOLD-2026-0001",
        "title": "Stack buffer overflow when indenting",
        "summary": "ujson overflows a buffer when it indents a deep structure.",
        "details": "Buffer_AppendIndentUnchecked writes beyond the buffer.",
        "published": NOW,
        "modified": NOW,
        "tlp": Tlp.CLEAR,
        "publisher": PUBLISHER,
        "products": (UJSON,),
        "references": (
            Reference("https://example.org/fix", "The fix", ReferenceKind.FIX),
            Reference("https://hub.example.org/a", "This advisory", ReferenceKind.ADVISORY),
        ),
        "history": (Revision(1, NOW, "First published."),),
        "aliases": ("CVE-2021-45958",),
        "weaknesses": ("CWE-121", "CWE-787"),
        "cvss": (
            "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N",
        ),
        "credits": (Credit("Lab A", CreditRole.FINDER), Credit("Lab B", CreditRole.TOOL)),
    }
    return Advisory(**(members | changes))  # type: ignore[arg-type] # the caller's own mistakes are tested


plain = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)
lines = st.lists(plain, min_size=1, max_size=4).map(" ".join)
versions = st.tuples(st.integers(0, 20), st.integers(0, 9)).map(lambda v: f"{v[0]}.{v[1]}")


@st.composite
def products(draw: st.DrawFn, kind: tuple[str, str]) -> Product:
    package, ecosystem = kind
    numbers = draw(st.lists(st.integers(1, 200), min_size=2, max_size=6, unique=True).map(sorted))
    bounds = [f"{n // 10}.{n % 10}" for n in numbers]
    ranges: list[Range] = []
    for low, high in zip(bounds[::2], bounds[1::2], strict=False):
        if draw(st.booleans()):
            ranges.append(Range(low, high))
        else:
            ranges.append(Range(low, None, high))
    if draw(st.booleans()):
        ranges[0] = Range("0", ranges[0].fixed, ranges[0].last_affected)
    if draw(st.booleans()) and len(bounds) % 2:
        ranges.append(Range(bounds[-1]))
    fixed = {stated.fixed for stated in ranges}
    listed = draw(st.lists(versions.filter(lambda v: v not in fixed), max_size=4, unique=True))
    return Product(
        package=package,
        vendor=draw(plain),
        ecosystem=ecosystem,
        ranges=tuple(ranges),
        versions=tuple(listed),
        fixed_version=None,
        remediation=draw(st.just("") | lines),
    )


KINDS = [
    ("pkg:pypi/ujson", "PyPI"),
    ("pkg:deb/debian/zlib", "Debian:12"),
    ("pkg:npm/%40scope/thing", "npm"),
    ("pkg:generic/yajl", ""),
]


@st.composite
def advisories(draw: st.DrawFn) -> Advisory:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4, unique=True))
    steps = draw(st.lists(st.integers(0, 10**6), max_size=3).map(sorted))
    dates = [NOW, *(NOW + timedelta(seconds=step) for step in steps)]
    history = tuple(Revision(i, date, draw(lines)) for i, date in enumerate(dates, start=1))
    vectors = draw(
        st.lists(
            st.sampled_from(
                [
                    "CVSS:3.0/AV:L/AC:H/PR:L/UI:R/S:C/C:L/I:L/A:L",
                    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
                    "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N",
                    "AV:N/AC:L/Au:N/C:N/I:N/A:C",
                ]
            ),
            max_size=3,
            unique=True,
        )
    )
    urls = st.integers(0, 99).map(lambda n: f"https://example.org/{n}")
    return make_advisory(
        title=draw(lines),
        summary=draw(lines),
        details=draw(lines),
        tlp=draw(st.sampled_from(Tlp)),
        published=dates[0],
        modified=dates[-1],
        history=history,
        products=tuple(draw(products(kind)) for kind in kinds),
        references=tuple(
            Reference(url, draw(plain), draw(st.sampled_from(ReferenceKind)))
            for url in draw(st.lists(urls, min_size=1, max_size=3, unique=True))
        ),
        aliases=draw(st.sampled_from([(), ("CVE-2026-12345",), ("GHSA-aaaa", "CVE-2026-1234")])),
        weaknesses=draw(st.sampled_from([(), ("CWE-121",), ("CWE-20", "CWE-787")])),
        cvss=tuple(vectors),
        credits=tuple(
            Credit(draw(plain), draw(st.sampled_from(CreditRole)))
            for _ in range(draw(st.integers(0, 2)))
        ),
    )
