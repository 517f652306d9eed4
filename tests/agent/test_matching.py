"""Which advisories hit an inventory, and what would fix them."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.tags import cpython_tags
from packaging.version import Version
from tiny_hub import START, entry, install, wheel

from clearhold.agent.environment import Environment, Installed, read_environment
from clearhold.agent.matching import match
from clearhold.kernel.matching import Verdict
from clearhold.wire.bundle import Affected, Bundle, Entry, Range, Remedy, target_of


def holding(*versions: str, name: str = "parrot") -> Environment:
    packages = tuple(Installed(name, each, Path("/nowhere")) for each in versions)
    return Environment(Path("/nowhere"), "3.11", Path("/nowhere"), packages, ())


def bundle(*entries: Entry) -> Bundle:
    return Bundle(number=1, issued=START, advisories=entries)


def remedy(version: str) -> Remedy:
    name = f"parrot-{version}-py3-none-any.whl"
    return Remedy(package=f"pkg:pypi/parrot@{version}", artefact=target_of(name, b""))


ENTRY = entry(wheel())


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("1.0", Verdict.AFFECTED),
        ("1.9.9", Verdict.AFFECTED),
        ("2.0rc1", Verdict.AFFECTED),
        ("not a version", Verdict.UNDETERMINED),
    ],
)
def test_an_affected_or_unreadable_version_is_shown(version: str, verdict: Verdict) -> None:
    (hit,) = match(bundle(ENTRY), holding(version))
    assert hit.judgement.verdict is verdict
    assert hit.judgement.reason


@pytest.mark.parametrize("version", ["0.9", "1.0rc1", "2.0", "2.0.post1", "1!1.5"])
def test_a_version_outside_is_not_shown(version: str) -> None:
    assert match(bundle(ENTRY), holding(version)) == ()


def test_other_packages_are_not_shown() -> None:
    assert match(bundle(ENTRY), holding("1.5", name="parrots")) == ()


def test_an_undetermined_version_gets_no_fix() -> None:
    (hit,) = match(bundle(ENTRY), holding("nightly"))
    assert hit.remedy is None


def test_names_match_however_they_are_written(environment: Path) -> None:
    install(environment, wheel("Grey.Parrot_X", "1.5"))
    affected = Affected(package="pkg:pypi/Grey_Parrot.X", ranges=(Range(introduced="0"),))
    written = msgspec.structs.replace(ENTRY, affected=(affected,))
    (hit,) = match(bundle(written), read_environment(environment))
    assert hit.installed.name == "grey-parrot-x"


def test_the_nearest_sound_fix_above_is_chosen() -> None:
    listed = Affected(
        package="pkg:pypi/parrot",
        ranges=(Range(introduced="1.0", fixed="2.0"), Range(introduced="3.0", fixed="3.2")),
        versions=("2.1",),
    )
    fixes = tuple(remedy(each) for each in ("0.9", "4.0", "3.1", "2.1", "2.10", "2.9", "bad"))
    written = msgspec.structs.replace(ENTRY, affected=(listed,), remedies=fixes)
    chosen = {
        each.installed.version: each.remedy and each.remedy.package
        for each in match(bundle(written), holding("1.5", "3.0"))
    }
    assert chosen == {"1.5": "pkg:pypi/parrot@2.9", "3.0": "pkg:pypi/parrot@4.0"}


def test_the_wheel_for_this_machine_is_chosen() -> None:
    here = next(iter(cpython_tags(python_version=(3, 11))))
    tags = ("cp311-cp311-win_amd64", "py3-none-any", str(here), "cp39-cp39-macosx_11_0_arm64")
    wheels = tuple(
        Remedy(package="pkg:pypi/parrot@2.0", artefact=target_of(f"parrot-2.0-{tag}.whl", b""))
        for tag in tags
    )
    written = msgspec.structs.replace(ENTRY, remedies=wheels)
    (hit,) = match(bundle(written), holding("1.5"))
    assert hit.remedy == wheels[2]
    written = msgspec.structs.replace(ENTRY, remedies=wheels[:1] + wheels[3:])
    (hit,) = match(bundle(written), holding("1.5"))
    assert hit.remedy is None


def test_two_statements_about_one_package_are_judged_together() -> None:
    parts = tuple(
        Affected(package="pkg:pypi/parrot", versions=(version,)) for version in ("1.0", "1.1")
    )
    written = msgspec.structs.replace(ENTRY, affected=parts)
    hits = match(bundle(written), holding("1.0", "1.1", "1.2"))
    assert [each.installed.version for each in hits] == ["1.0", "1.1"]


VERSIONS = st.from_regex(r"\A[0-9]{1,2}(\.[0-9]{1,2}){0,3}((a|b|rc)[0-9])?(\.post[0-9])?\Z")


@given(VERSIONS, VERSIONS, VERSIONS)
def test_matching_agrees_with_the_reference_order(here: str, low: str, high: str) -> None:
    if Version(low) >= Version(high):
        return
    affected = Affected(package="pkg:pypi/parrot", ranges=(Range(introduced=low, fixed=high),))
    written = msgspec.structs.replace(ENTRY, affected=(affected,))
    hit = Version(low) <= Version(here) < Version(high)
    assert bool(match(bundle(written), holding(here))) is hit
