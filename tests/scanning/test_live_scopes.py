"""Live scopes: their canonical texts, and their algebra beside plain enumeration of points."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import InvalidError
from clearhold.scanning import paths
from clearhold.scanning.live_scope import (
    Depth,
    LiveScope,
    cover,
    make_live_scope,
    make_targets,
)
from clearhold.scanning.live_targets import parse_target

Point = tuple[str, int, tuple[str, ...] | None, str]

# A world small enough to list: a few names with a fresh child under each, eight addresses on each
# side of IPv4 and IPv6, the edges of ports and a few paths.
NAMES = ["example.org", "a.example.org", "b.a.example.org", "example.com", "xexample.org"]
PORTS = [0, 79, 80, 81, 443, 444, 8000, 65535]
PATHS = [(), ("a",), ("a", "b"), ("ab",)]


def _address_points() -> list[str]:
    v4 = [ipaddress.ip_address("192.0.2.0") + n for n in range(8)]
    v6 = [ipaddress.ip_address("2001:db8::") + n for n in range(8)]
    return [str(each) for each in (*v4, *v6)]


def _inside_where(text: str, place: str) -> bool:
    """An independent reading of canonical texts: is the place one of the target's?"""
    kind, _, rest = text.partition(":")
    if kind == "domain":
        if rest.startswith("*."):
            return place == rest[2:] or place.endswith("." + rest[2:])
        return place == rest
    if kind == "network":
        try:
            return ipaddress.ip_address(place) in ipaddress.ip_network(rest)
        except ValueError:
            return False
    if kind == "host":
        host = rest[1 : rest.index("]")] if rest.startswith("[") else rest.split(":")[0]
        return host == place
    host = rest[2:].split("/")[0]
    host = host[1 : host.index("]")] if host.startswith("[") else host.split(":")[0]
    return host == place


def _inside_ports(text: str, port: int) -> bool:
    kind, _, rest = text.partition(":")
    if kind in {"domain", "network"}:
        return True
    if kind == "host":
        listed = rest.split("]")[-1].partition(":")[2]
        if not listed:
            return True
        for each in listed.split(","):
            low, _, high = each.partition("-")
            if int(low) <= port <= int(high or low):
                return True
        return False
    authority = rest[2:].split("/")[0].split("]")[-1]
    number = authority.partition(":")[2] or {"http": "80", "https": "443"}[kind]
    return int(number) == port


def _inside_path(text: str, path: tuple[str, ...] | None, scheme: str) -> bool:
    """`path` None is what is spoken at a port without being of an application."""
    kind, _, rest = text.partition(":")
    if kind not in {"http", "https"}:
        return True
    wanted = tuple(each for each in rest[2:].partition("/")[2].split("/") if each)
    return path is not None and scheme == kind and path[: len(wanted)] == wanted


def _points(schemes: list[str]) -> list[Any]:
    places = [*NAMES, *(f"fresh.{each}" for each in NAMES), *_address_points()]
    spoken: list[tuple[tuple[str, ...] | None, str]] = [(None, "")]
    spoken += [(p, s) for s in schemes for p in (*PATHS, *((*p, "fresh") for p in PATHS))]
    return list(product(places, PORTS, spoken))


POINTS = _points(["http", "https"])


def _reach(text: str) -> set[Point]:
    return {
        (place, port, path, scheme)
        for place, port, (path, scheme) in POINTS
        if _inside_where(text, place)
        and _inside_ports(text, port)
        and _inside_path(text, path, scheme)
    }


def _networks() -> Iterator[str]:
    for base, bits in (("192.0.2.0", 32), ("2001:db8::", 128)):
        for size in (1, 2, 4, 8):
            for at in range(0, 8, size):
                start = ipaddress.ip_address(base) + at
                yield f"network:{start}/{bits - size.bit_length() + 1}"


def _in_url(place: str) -> str:
    return f"[{place}]" if ":" in place else place


_places = st.sampled_from([*NAMES, *_address_points()[:3], *_address_points()[8:11]])
_ports = st.sampled_from(
    ["", ":80", ":443", ":0-79", ":0-80", ":80-65535", ":81-65535", ":80,443", ":444-65535,80"]
)
_urls = st.builds(
    lambda scheme, place, port, path: f"{scheme}://{_in_url(place)}{port}/{'/'.join(path)}",
    st.sampled_from(["http", "https"]),
    _places,
    st.sampled_from(["", ":80", ":443"]),
    st.sampled_from(PATHS),
)
TARGETS = st.one_of(
    st.sampled_from([f"domain:{w}{n}" for n in NAMES for w in ("", "*.")]),
    st.sampled_from(list(_networks())),
    st.builds(lambda place, port: f"host:{_in_url(place)}{port}", _places, _ports),
    _urls,
)


@given(st.lists(TARGETS, min_size=1, max_size=6), st.lists(TARGETS, min_size=1, max_size=3))
def test_containment_is_that_of_the_points(outer: list[str], inner: list[str]) -> None:
    """An authorisation covers a scope exactly when it has every point of it."""
    theirs = set().union(*map(_reach, (t.text for t in map(parse_target, outer))))
    mine = set().union(*map(_reach, (t.text for t in map(parse_target, inner))))
    # A range that the listed ports do not show the edges of cannot occur: all edges are in PORTS.
    assert cover(make_targets(outer), make_targets(inner)) == (mine <= theirs)


def _spoken_alike(points: Iterable[Point]) -> set[Any]:
    return {(place, port, path) for place, port, path, _scheme in points}


@given(st.lists(TARGETS, min_size=1, max_size=4), st.lists(TARGETS, min_size=1, max_size=4))
def test_overlap_is_that_of_the_points_and_tells_own_targets_alone(
    mine: list[str], theirs: list[str]
) -> None:
    """The answer is those of the asker's own targets that share a point with any of the other's."""
    a = make_live_scope(mine, technique=Technique.DYNAMIC)
    b = make_live_scope(theirs, technique=Technique.LIVE_PROBING, depth=Depth.PROOF)
    reached = set().union(*(_spoken_alike(_reach(t.text)) for t in b.targets))
    expected = tuple(t.text for t in a.targets if _spoken_alike(_reach(t.text)) & reached)
    assert a.overlap(b) == expected
    assert bool(a.overlap(b)) == bool(b.overlap(a))


@given(st.lists(TARGETS, min_size=1, max_size=4), st.lists(TARGETS, min_size=1, max_size=4))
def test_what_may_overlap_meets_in_the_lanes_and_in_the_index(
    mine: list[str], theirs: list[str]
) -> None:
    """No overlap escapes who holds a scope's lanes, nor who looks up its tokens."""
    a = make_live_scope(mine, technique=Technique.DYNAMIC)
    b = make_live_scope(theirs, technique=Technique.DYNAMIC)
    if a.overlap(b):
        assert a.lane_names()[0] == b.lane_names()[0]
        assert any(paths.meet("/".join(x), "/".join(y)) for x, y in product(*_keys(a, b)))
        found = set(a.places_at()) & {*b.places_at(), *b.places_above()}
        assert found or set(b.places_at()) & set(a.places_above())


def _keys(*scopes: LiveScope) -> list[tuple[tuple[str, ...], ...]]:
    return [scope.index_keys() for scope in scopes]


@given(st.lists(TARGETS, min_size=1, max_size=5))
def test_equal_scopes_have_one_form(written: list[str]) -> None:
    """Order, repetition and what lies in another target make no difference; nothing gets lost."""
    once = make_live_scope(written, technique=Technique.DYNAMIC)
    again = make_live_scope([*reversed(written), *written], technique=Technique.DYNAMIC)
    assert once == again
    assert LiveScope.from_plain(once.to_plain()) == once
    assert cover(once.targets, [parse_target(each) for each in written])


@given(st.integers(0, 5), st.integers(0, 2))
def test_no_port_in_between_is_forgotten(first: int, gap: int) -> None:
    """Ranges that touch make up one; a missing port between them is missing."""
    low = 1000 + first
    outer = make_targets([f"host:a.org:1-{low}", f"host:a.org:{low + gap + 1}-2000"])
    assert cover(outer, make_targets(["host:a.org:1-2000"])) == (gap == 0)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("DOMAIN:*.Example.ORG.", "domain:*.example.org"),
        ("domain:Bücher.example.", "domain:xn--bcher-kva.example"),
        ("domain:xn--bcher-kva.example", "domain:xn--bcher-kva.example"),
        ("domain:\uff45xample.org", "domain:example.org"),
        ("domain:example。org", "domain:example.org"),
        ("network:::ffff:192.0.2.0/120", "network:192.0.2.0/24"),
        ("network:2001:DB8:0::/32", "network:2001:db8::/32"),
        ("host:::ffff:c000:207", "host:192.0.2.7"),
        ("host:[::ffff:192.0.2.7]:80", "host:192.0.2.7:80"),
        ("host:2001:db8::0:7", "host:[2001:db8::7]"),
        ("host:Example.org:90-100,80,101", "host:example.org:80,90-101"),
        ("host:example.org:0-65535", "host:example.org"),
        ("HTTPS://Example.org:443", "https://example.org/"),
        ("http://example.org:8080/a/../b/./c/", "http://example.org:8080/b/c"),
        ("https://example.org/%7Eme/%e4%bd%a0", "https://example.org/~me/%E4%BD%A0"),
        ("https://example.org/x/%2e%2E/y", "https://example.org/y"),
        ("https://[::ffff:192.0.2.7]/", "https://192.0.2.7/"),
        ("site:waterworks/north/control", "site:waterworks/north/control"),
    ],
)
def test_equal_targets_have_one_text(written: str, canonical: str) -> None:
    """Case, dots, IDNA, address forms, ports and path escapes are brought to one form."""
    assert parse_target(written).text == canonical
    assert parse_target(canonical) == parse_target(written)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "example.org",
        "domain:",
        "domain:org",
        "domain:*.org",
        "domain:*.co.uk",
        "domain:*.github.io",
        "domain:*",
        "domain:*.*.example.org",
        "domain:a..example.org",
        "domain:example.org/x",
        "domain:127.0.0.1",
        "domain:127.1",
        "host:0x7f.1",
        "host:2130706433",
        "host:1.2.3.0x4",
        "host:192.0.2.07",
        "host:⑫.0.0.1",
        "host:fe80::1%eth0",
        "host:[fe80::1%25eth0]",
        "host:example.org:",
        "host:example.org:65536",
        "host:example.org:90-80",
        "host:example.org:٤٤٣",
        "host:-a.example.org",
        "host:a_b.example.org",
        "network:192.0.2.1/24",
        "network:192.0.2.0/33",
        "network:192.0.2.0/255.255.255.0",
        "network:192.0.2.0",
        "network:0.0.0.0/0",
        "network:::/0",
        "network:::ffff:0:0/95",
        "network:64:ff9b::c000:200/120",
        "network:2002:c000:200::/40",
        "https://user@example.org/",
        "https://example.org\\@evil.example/",
        "https://example.org/a?b",
        "https://example.org/a#b",
        "https://example.org//a",
        "https://example.org/a;x/b",
        "https://example.org/..%3B/b",
        "https://example.org/a%2fb",
        "https://example.org/a%5cb",
        "https://example.org/a%252e%252e",
        "https://example.org/%",
        "https://example.org/%ff",
        "https://example.org/%00",
        "https://example.org:0/",
        "ftp://example.org/",
        "site:waterworks",
        "site:waterworks/north/moon",
        "site:Waterworks/north",
        "site:a/b/control/x",
        "x" * 5000,
    ],
)
def test_what_could_mean_two_things_is_refused(written: str) -> None:
    """An address in disguise, a wildcard over many owners, or an ambiguous path names nothing."""
    with pytest.raises(InvalidError):
        parse_target(written)


@given(
    st.text(max_size=60), st.sampled_from(["", "domain:", "network:", "host:", "https://", "site:"])
)
def test_no_text_breaks_the_reading(text: str, kind: str) -> None:
    """Any text is a target with a stable canonical text, or is refused."""
    with suppress(InvalidError):
        target = parse_target(kind + text)
        assert parse_target(target.text) == target
        assert target.text.isascii()
        assert target.text.isprintable()


def test_a_name_and_an_address_are_never_found_equal() -> None:
    """What only the network could tell is neither covered nor in the way."""
    name = make_live_scope(["domain:*.example.org"], technique=Technique.DYNAMIC)
    address = make_live_scope(["host:192.0.2.7"], technique=Technique.DYNAMIC)
    assert not name.covers(address)
    assert not address.covers(name)
    assert name.overlap(address) == ()


def test_a_zone_lies_in_its_site_and_all_zones_are_not_the_site() -> None:
    """A site may have parts in no named zone."""
    zones = ["enterprise", "dmz", "operations", "supervisory", "control", "process", "safety"]
    site = make_targets(["site:waterworks/north"])
    parts = make_targets([f"site:waterworks/north/{zone}" for zone in zones])
    assert cover(site, parts)
    assert not cover(parts, site)
    assert not cover(site, make_targets(["site:waterworks/south/control"]))
    assert not parts[0].meets(parts[1])


def test_technique_and_depth_bound_what_is_covered() -> None:
    """Consent to looking is no consent to proving, and one technique is not another."""

    def scope(technique: Technique, depth: Depth) -> LiveScope:
        return make_live_scope(["host:a.org"], technique=technique, depth=depth)

    given_ = scope(Technique.DYNAMIC, Depth.CHECKS)
    assert given_.covers(scope(Technique.DYNAMIC, Depth.SURFACE))
    assert not given_.covers(scope(Technique.DYNAMIC, Depth.PROOF))
    assert not given_.covers(scope(Technique.CREDENTIALED, Depth.SURFACE))
