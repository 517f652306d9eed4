"""Keys order as the schemes' own comparators do."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.versions import Scheme, scheme_for

ORDER = Path(__file__).parents[2].parent / "shared" / "data" / "versions" / "order.zip"
PYPI, DEB, NPM = scheme_for("pypi"), scheme_for("deb"), scheme_for("npm")

numbers = st.integers(0, 12).map(str)
releases = st.lists(numbers, min_size=1, max_size=4).map(".".join)


@st.composite
def python_versions(draw: st.DrawFn) -> str:
    parts = [
        draw(st.sampled_from(["", "", "", "1!", "2!"])),
        draw(releases),
        draw(st.sampled_from(["", "", "a0", "b1", "rc2", "-alpha.3", "C1"])),
        draw(st.sampled_from(["", "", ".post0", ".post12", "-3", "r4"])),
        draw(st.sampled_from(["", "", ".dev0", "dev10"])),
        draw(st.sampled_from(["", "", "+local", "+1", "+local.1", "+local.a", "+10.2"])),
    ]
    return "".join(parts)


debian_parts = st.text(alphabet="019az~+.", max_size=6)


@st.composite
def debian_versions(draw: st.DrawFn) -> str:
    epoch = draw(st.sampled_from(["", "", "0:", "1:"]))
    revision = draw(st.one_of(st.just(""), st.text(alphabet="019az~+.", min_size=1, max_size=4)))
    upstream = draw(st.sampled_from("0129")) + draw(debian_parts)
    return epoch + upstream + (f"-{revision}" if revision else "")


@st.composite
def semantic_versions(draw: st.DrawFn) -> str:
    identifiers = st.lists(st.sampled_from(["0", "1", "9", "10", "a", "ab", "A", "-", "1a"]))
    pre = ".".join(draw(identifiers))
    return (
        draw(st.sampled_from(["", "v"]))
        + draw(st.tuples(numbers, numbers, numbers).map(".".join))
        + (f"-{pre}" if pre else "")
        + draw(st.sampled_from(["", "+build.1"]))
    )


def sign(a: Any, b: Any) -> int:
    return int(a > b) - int(a < b)


@given(python_versions(), python_versions())
def test_python_keys_order_as_packaging_orders(a: str, b: str) -> None:
    try:
        expected = sign(Version(a), Version(b))
    except InvalidVersion:
        return
    assert PYPI.compare(a, b) == expected


def dpkg_order(a: str, b: str) -> int:
    """The comparison of deb-version(7), written down directly from its text."""

    def split(version: str) -> tuple[int, str, str]:
        epoch, colon, rest = version.partition(":")
        if not colon:
            epoch, rest = "0", version
        upstream, hyphen, revision = rest.rpartition("-")
        return (int(epoch), upstream, revision) if hyphen else (int(epoch), rest, "0")

    def weight(character: str) -> int:
        if character == "~":
            return -1
        return ord(character) if character.isalpha() else ord(character) + 256

    def part(x: str, y: str) -> int:
        while x or y:
            lead_x, lead_y = re.match(r"\D*", x)[0], re.match(r"\D*", y)[0]  # type: ignore[index]
            for i in range(max(len(lead_x), len(lead_y))):
                left = weight(lead_x[i]) if i < len(lead_x) else 0
                right = weight(lead_y[i]) if i < len(lead_y) else 0
                if left != right:
                    return sign(left, right)
            x, y = x[len(lead_x) :], y[len(lead_y) :]
            digits_x, digits_y = re.match(r"\d*", x)[0], re.match(r"\d*", y)[0]  # type: ignore[index]
            if int(digits_x or 0) != int(digits_y or 0):
                return sign(int(digits_x or 0), int(digits_y or 0))
            x, y = x[len(digits_x) :], y[len(digits_y) :]
        return 0

    (epoch_a, up_a, rev_a), (epoch_b, up_b, rev_b) = split(a), split(b)
    return sign(epoch_a, epoch_b) or part(up_a, up_b) or part(rev_a, rev_b)


@given(debian_versions(), debian_versions())
def test_debian_keys_order_as_dpkg_orders(a: str, b: str) -> None:
    assert DEB.compare(a, b) == dpkg_order(a, b)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not installed")
def test_the_debian_rules_above_are_those_of_the_real_dpkg() -> None:
    pairs = [
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0+b1"),
        ("1:0.1", "9"),
        ("1.0-1", "1.0"),
        ("1.0a", "1.0+"),
        ("1.0-1~deb12u1", "1.0-1"),
        ("1a", "1a0"),
        ("1.2.~", "1.2."),
    ]
    for a, b in pairs:
        words = {-1: "lt", 0: "eq", 1: "gt"}
        relation = words[DEB.compare(a, b)]
        argv = ["dpkg", "--compare-versions", a, relation, b]  # the machine's own dpkg
        assert subprocess.run(argv, check=False).returncode == 0, (a, relation, b)


@given(semantic_versions(), semantic_versions())
def test_semantic_keys_order_by_section_11(a: str, b: str) -> None:
    def precedence(version: str) -> tuple[object, ...]:
        core, _, pre = version.removeprefix("v").partition("+")[0].partition("-")
        identifiers = [
            (0, int(name), "") if name.isdigit() else (1, 0, name) for name in pre.split(".")
        ]
        return [int(n) for n in core.split(".")], not pre, identifiers if pre else []

    assert NPM.compare(a, b) == sign(precedence(a), precedence(b))


@pytest.mark.parametrize("scheme", [PYPI, DEB, NPM], ids=lambda s: s.name)
@given(text=st.text(max_size=300))
def test_any_text_is_a_key_or_a_clear_refusal(scheme: Scheme, text: str) -> None:
    try:
        assert scheme.key(text)
    except InvalidError as problem:
        refusal = problem
    else:
        return
    assert refusal.next_step


@pytest.mark.parametrize(
    ("scheme", "version"),
    [
        (PYPI, "(devel)"),
        (PYPI, "1.0-bulbasaur"),
        (DEB, "1.0_1"),
        (DEB, "a1"),
        (DEB, "1.0-"),
        (NPM, "(devel)"),
        (NPM, "1.0.2k"),
        (NPM, ""),
        (NPM, "9" * 255),
        (NPM, "1.0.0-"),
        (PYPI, "\u0661.\u0662"),
        (NPM, "\u0661.\u0662.\u0663"),
    ],
)
def test_what_is_no_version_of_the_scheme_is_refused(scheme: Scheme, version: str) -> None:
    with pytest.raises(InvalidError):
        scheme.key(version)


def test_a_package_type_without_a_known_order_is_refused() -> None:
    with pytest.raises(InvalidError, match="maven"):
        scheme_for("maven")


@pytest.mark.parametrize(
    ("scheme", "files", "legacy"),
    [
        (PYPI, ["pypi-versions.txt", "pypi-versions-generated.txt"], 59),
        (DEB, ["debian-versions.txt", "debian-versions-generated.txt"], 0),
        (NPM, ["semver-versions.txt"], 0),
    ],
    ids=["pypi", "debian", "semver"],
)
@pytest.mark.skipif(not ORDER.exists(), reason=f"{ORDER} is absent")
def test_the_published_order_holds(scheme: Scheme, files: list[str], legacy: int) -> None:
    right = unreadable = 0
    wrong: list[str] = []
    with zipfile.ZipFile(ORDER) as archive:
        lines = [line for name in files for line in archive.read(name).decode().splitlines()]
    for line in lines:
        if not line.strip() or line.startswith("//"):
            continue
        a, relation, b = line.split()
        try:
            holds = scheme.compare(a, b) == {"<": -1, "=": 0, ">": 1}[relation]
        except InvalidError:
            unreadable += 1
            continue
        right += holds
        if not holds:
            wrong.append(line)
    assert not wrong
    assert right
    assert unreadable == legacy, "spellings from before PEP 440 are refused, and nothing else"


@pytest.mark.parametrize(
    ("scheme", "versions"),
    [(PYPI, python_versions()), (DEB, debian_versions()), (NPM, semantic_versions())],
    ids=["pypi", "debian", "semver"],
)
@given(data=st.data())
def test_no_key_begins_with_another_key(
    scheme: Scheme, versions: st.SearchStrategy[str], data: st.DataObject
) -> None:
    a, b = data.draw(versions), data.draw(versions)
    try:
        left, right = scheme.key(a), scheme.key(b)
    except InvalidError:
        return
    assert left == right or not left.startswith(right)
