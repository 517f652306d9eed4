"""Overlap is decided exactly."""

from __future__ import annotations

import contextlib
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.versions import scheme_for
from clearhold.scanning import paths
from clearhold.scanning.model import SoftwareScope, Versions, make_scope, overlap
from clearhold.scanning.spans import meet as versions_meet

PARTS = st.sampled_from(["**", "a", "b", "*", "?", "a*", "*b", "a?", "*a*", "?*"])
GLOBS = st.lists(PARTS, min_size=1, max_size=3).map("/".join).map(paths.normal)
NAMES = ["".join(name) for n in (1, 2, 3) for name in itertools.product("ab", repeat=n)]
# Every path that two such globs can need to tell whether they meet: "**" between parts swallows at
# most the other's three parts, and a "*" at most the two plain characters of the other.
SHORT = [name for name in NAMES if len(name) <= 2]
PATHS = ["/".join(path) for n in (1, 2, 3) for path in itertools.product(SHORT, repeat=n)] + [
    "/".join(path) for path in itertools.product(["aab", "a", "ba", "b"], repeat=4)
]


def pattern(glob: str) -> re.Pattern[str]:
    """The glob as a regular expression over paths with a slash after every part."""
    parts = []
    for part in glob.split("/"):
        if part == "**":
            parts.append("(?:[^/]+/)*")
        else:
            body = "".join({"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)) for char in part)
            parts.append(f"(?=[^/]){body}/")
    return re.compile("".join(parts))


@settings(max_examples=150, deadline=None)
@given(GLOBS, GLOBS)
def test_two_globs_meet_exactly_when_some_path_is_named_by_both(a: str, b: str) -> None:
    left, right = pattern(a), pattern(b)
    common = next(
        (path for path in PATHS if left.fullmatch(f"{path}/") and right.fullmatch(f"{path}/")), None
    )
    assert paths.meet(a, b) is paths.meet(b, a)
    if common is not None:
        assert paths.meet(a, b), common
    elif "/" not in a + b and "**" not in {a, b}:
        # within one part the list above is complete for these patterns, up to three characters
        found = any(left.fullmatch(f"{name}/") and right.fullmatch(f"{name}/") for name in NAMES)
        assert paths.meet(a, b) is found


@pytest.mark.parametrize(
    ("a", "b", "meets"),
    [
        ("lib/*.c", "lib/ultrajsonenc.c", True),
        ("lib/*.c", "lib/ultrajson.h", False),
        ("lib/*.c", "lib/sub/x.c", False),
        ("lib/**", "lib/sub/x.c", True),
        ("lib/", "lib/sub/x.c", True),
        ("**/x.c", "x.c", True),
        ("**/enc*.c", "lib/**/*dec.c", True),
        ("lib/**/a", "python/**", False),
        ("**", "anything/at/all", True),
        ("*a", "*b", False),
        ("a*", "*b", True),
        ("a/**/b/**/c", "a/c", False),
        ("a/**/b/**/c", "a/x/b/y/c", True),
        ("?", "ab", False),
    ],
)
def test_globs_that_people_write(a: str, b: str, *, meets: bool) -> None:
    assert paths.meet(paths.normal(a), paths.normal(b)) is meets
    assert paths.meet(paths.normal(b), paths.normal(a)) is meets


@pytest.mark.parametrize(
    "glob", ["", "/etc", "../x", "a//b", "a/**b", "x[ab]", "a{b,c}", "a\x1b[31m", "a" * 129, "a\\b"]
)
def test_what_is_no_glob_is_refused_with_the_next_step(glob: str) -> None:
    with pytest.raises(InvalidError) as refused:
        paths.normal(glob)
    assert refused.value.next_step
    assert "\x1b" not in refused.value.message


@given(st.text(max_size=140))
def test_any_text_is_a_glob_or_a_clear_refusal(text: str) -> None:
    glob = ""
    with contextlib.suppress(InvalidError):
        glob = paths.normal(text)
    if glob:
        assert paths.normal(glob) == glob
        assert paths.meet(glob, glob)
        assert paths.meet(glob, "**")


def test_globs_made_to_be_slow_are_decided_at_once() -> None:
    hostile = "/".join(["*a*a*a*a*b"] * 11)
    assert not paths.meet(paths.normal(hostile), paths.normal("**/" + "a*" * 50 + "c"))


VERSION = st.integers(0, 6).map(lambda n: f"1.{n}")


@st.composite
def spans(draw: st.DrawFn) -> Versions:
    if draw(st.booleans()):
        return Versions(exact=draw(VERSION))
    low, high = sorted(draw(st.lists(st.integers(0, 7), min_size=2, max_size=2, unique=True)))
    start = "0" if draw(st.booleans()) else f"1.{low}"
    return Versions(start=start, before=None if draw(st.booleans()) else f"1.{high}")


@given(spans(), spans())
def test_version_ranges_meet_exactly_when_a_version_lies_in_both(a: Versions, b: Versions) -> None:
    scheme = scheme_for("pypi")
    # between any two neighbours lies a post-release, so that open ends are probed too
    probes = [f"1.{n}{end}" for n in range(8) for end in ("", ".post1")] + ["0.1", "9"]

    def inside(version: str, span: Versions) -> bool:
        low, high = span.bounds(scheme)
        key = scheme.key(version)
        return low <= key and (high is None or key < high)

    common = any(inside(version, a) and inside(version, b) for version in probes)
    assert versions_meet(a, b, "pypi") is common
    assert versions_meet(b, a, "pypi") is common


@pytest.mark.parametrize(
    "versions",
    [
        Versions(exact="not a version!"),
        Versions(exact="1.0", before="2.0"),
        Versions(start="2.0", before="1.0"),
        Versions(start="1.0", before="1.0"),
    ],
)
def test_versions_that_mean_nothing_are_refused(versions: Versions) -> None:
    with pytest.raises(InvalidError):
        make_scope("pkg:pypi/ujson", versions=versions, paths=(), technique=Technique.FUZZING)


def test_scopes_overlap_in_my_own_words() -> None:
    mine = make_scope(
        "pkg:pypi/ujson@5.1.0",
        versions=Versions(exact="5.1.0"),
        paths=("lib/*.c", "python/", "docs/"),
        technique=Technique.FUZZING,
    )
    other = make_scope(
        "pkg:pypi/UJSON",
        versions=Versions(start="5.0.0", before="5.4.0"),
        paths=("lib/ultrajsonenc.c", "python/objToJSON.c"),
        technique=Technique.FUZZING,
    )
    assert overlap(mine, other) == ("lib/*.c", "python/**")
    assert overlap(other, mine) == other.paths
    static = SoftwareScope(other.package, other.versions, other.paths, Technique.STATIC)
    assert overlap(mine, static) == ()
    newer = SoftwareScope(other.package, Versions(start="5.4.0"), other.paths, Technique.FUZZING)
    assert overlap(mine, newer) == ()


A, B = "a" * 40, "b" * 40
LONG = "a" * 64


@pytest.mark.parametrize(
    ("mine", "other", "meets"),
    [
        (Versions(commits=(A,)), Versions(commits=(A, B)), True),
        (Versions(commits=(A,)), Versions(commits=(B,)), False),
        (Versions(commits=(A,)), Versions(commits=(LONG,)), True),
        (Versions(commits=(A,)), Versions(exact="1.0"), True),
        (Versions(commits=(A,)), Versions(start="1.0", before="2.0"), True),
        (Versions(commits=(A,)), Versions(), True),
    ],
)
def test_what_no_name_decides_counts_as_overlapping(
    mine: Versions, other: Versions, *, meets: bool
) -> None:
    """A commit may be any version, and a SHA-1 name the same commit as a SHA-256 name."""
    assert versions_meet(mine, other, "pypi") is meets
    assert versions_meet(other, mine, "pypi") is meets


def test_a_package_whose_version_order_is_unknown_is_leased_whole_or_by_commit() -> None:
    whole = make_scope("pkg:swift/x/y", versions=Versions(), paths=(), technique=Technique.STATIC)
    some = make_scope(
        "pkg:swift/x/y",
        versions=Versions(commits=(A.upper(),)),
        paths=(),
        technique=whole.technique,
    )
    assert some.versions.commits == (A,)
    assert whole.overlap(some) == ("**",)
    with pytest.raises(InvalidError):
        make_scope(
            "pkg:swift/x/y", versions=Versions(exact="1"), paths=(), technique=Technique.STATIC
        )


NAMES_OF_FUNCTIONS = [
    "".join(name) for n in (1, 2, 3) for name in itertools.product("ab", repeat=n)
]
FUNCTIONS = st.lists(
    st.sampled_from(["a", "b", "ab", "a*", "*b", "?", "a?", "*a*", "??", "bab"]), max_size=2
)
SCOPES = st.builds(
    lambda package, versions, globs, technique, functions: make_scope(
        package,
        versions=versions,
        paths=tuple(globs),
        technique=technique,
        functions=tuple(functions),
    ),
    st.sampled_from(["pkg:pypi/one", "pkg:pypi/two"]),
    st.one_of(spans(), st.sampled_from([Versions(commits=(A,)), Versions(commits=(B,))])),
    st.lists(GLOBS, min_size=1, max_size=2),
    st.sampled_from([Technique.FUZZING, Technique.STATIC]),
    FUNCTIONS,
)


@settings(max_examples=300, deadline=None)
@given(SCOPES, SCOPES)
def test_overlap_is_symmetric_and_holds_of_a_scope_with_itself(
    a: SoftwareScope, b: SoftwareScope
) -> None:
    assert bool(a.overlap(b)) is bool(b.overlap(a))
    assert a.overlap(a) == a.paths
    assert SoftwareScope.from_plain(a.to_plain()) == a


def within(scope: SoftwareScope, path: str, function: str, state: str) -> bool:
    """Whether a scope means a function in a file of a state of its package, by plain matching."""
    if not any(pattern(glob).fullmatch(f"{path}/") for glob in scope.paths):
        return False
    if scope.functions and not any(pattern(g).fullmatch(f"{function}/") for g in scope.functions):
        return False
    if scope.versions.commits:
        return state in scope.versions.commits
    if len(state) == 40:
        return False
    scheme = scheme_for(scope.package.type)
    low, high = scope.versions.bounds(scheme)
    return low <= scheme.key(state) and (high is None or scheme.key(state) < high)


@settings(max_examples=200, deadline=None)
@given(
    SCOPES,
    SCOPES,
    st.sampled_from(PATHS),
    st.sampled_from(NAMES_OF_FUNCTIONS),
    st.sampled_from([*(f"1.{n}" for n in range(8)), A, B]),
)
def test_two_scopes_that_mean_one_thing_overlap(
    a: SoftwareScope, b: SoftwareScope, path: str, function: str, state: str
) -> None:
    """Whatever package, technique, file, function and state lie in both, the algebra says so."""
    alike = (a.package, a.technique) == (b.package, b.technique)
    if alike and within(a, path, function, state) and within(b, path, function, state):
        assert a.overlap(b)


@settings(max_examples=100, deadline=None)
@given(FUNCTIONS, FUNCTIONS)
def test_functions_meet_exactly_when_one_name_is_in_both(a: list[str], b: list[str]) -> None:
    def scope(functions: list[str]) -> SoftwareScope:
        return make_scope(
            "pkg:pypi/one",
            versions=Versions(),
            paths=(),
            technique=Technique.FUZZING,
            functions=tuple(functions),
        )

    def named(functions: list[str], name: str) -> bool:
        return not functions or any(pattern(each).fullmatch(f"{name}/") for each in functions)

    common = any(named(a, name) and named(b, name) for name in NAMES_OF_FUNCTIONS)
    assert bool(scope(a).overlap(scope(b))) is common
