"""The catalogue holds what may be scanned and what the public knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique, make_target
from clearhold.kernel.errors import ClearholdError, DeniedError, InvalidError, NotFoundError
from clearhold.kernel.matching import Range, Verdict
from clearhold.store.schema import EPOCH

FUZZING = (Technique.FUZZING,)


@pytest.fixture
def coordinator(party_of: Callable[..., Actor]) -> Actor:
    return party_of(PartyKind.COORDINATOR)


@pytest.fixture
def finder(party_of: Callable[..., Actor]) -> Actor:
    return party_of(PartyKind.FINDER)


def test_a_target_is_listed_for_everyone_in_the_order_of_its_versions(
    hub: Hub, coordinator: Actor, finder: Actor
) -> None:
    added = hub.catalogue.add(
        coordinator,
        "pkg:pypi/UJSON@5.1.0",
        versions=("5.10.0", "5.4.0", "5.1.0", "5.4.0"),
        techniques=(Technique.STATIC, Technique.FUZZING),
        paths=("lib/ultrajsonenc.c",),
    )
    assert str(added.package) == "pkg:pypi/ujson"
    assert added.versions == ("5.1.0", "5.4.0", "5.10.0")
    assert hub.catalogue.list(finder) == (added,)
    assert hub.catalogue.get(finder, "pkg:pypi/ujson@9") == added


def test_listing_a_package_again_replaces_what_was_said(hub: Hub, coordinator: Actor) -> None:
    for versions in (("1.0",), ("2.0",)):
        hub.catalogue.add(coordinator, "pkg:pypi/x", versions=versions, techniques=FUZZING)
    [target] = hub.catalogue.list(coordinator)
    assert target.versions == ("2.0",)


def test_only_coordinators_write(hub: Hub, finder: Actor) -> None:
    with pytest.raises(DeniedError):
        hub.catalogue.add(finder, "pkg:pypi/x", versions=("1",), techniques=FUZZING)
    with pytest.raises(DeniedError):
        hub.catalogue.record_known(finder, "pkg:pypi/x", "CVE-2021-45958", versions=("1",))


def test_what_is_not_listed_is_not_found(hub: Hub, finder: Actor) -> None:
    with pytest.raises(NotFoundError) as absent:
        hub.catalogue.get(finder, "pkg:pypi/absent")
    assert absent.value.next_step


NO_TARGETS: list[dict[str, Any]] = [
    {"package": "ujson"},
    {"package": "pkg:strange/x"},
    {"versions": ()},
    {"versions": ("not a version!",)},
    {"techniques": ()},
    {"paths": ("/etc/passwd",)},
    {"paths": ("../x",)},
    {"paths": ("lib/*.c",)},
    {"paths": ("a\x1b[31m",)},
    {"paths": tuple(f"f{n}" for n in range(257))},
]


def test_a_target_that_means_nothing_is_refused(
    hub: Hub, coordinator: Actor, subtests: pytest.Subtests
) -> None:
    for changed in NO_TARGETS:
        with subtests.test(changed=changed):
            given = {"package": "pkg:pypi/x", "versions": ("1.0",), "techniques": FUZZING} | changed
            with pytest.raises(InvalidError) as refused:
                hub.catalogue.add(coordinator, given.pop("package"), **given)
            assert refused.value.next_step
            assert refused.value.message.isprintable()
            assert hub.catalogue.list(coordinator) == ()


def test_a_public_vulnerability_tells_which_versions_it_affects(
    hub: Hub, coordinator: Actor, finder: Actor
) -> None:
    hub.catalogue.record_known(
        coordinator,
        "pkg:pypi/ujson",
        "CVE-2021-45958",
        aliases=("GHSA-fm67-cv37-96ff",),
        ranges=(Range(introduced="1.34", fixed="5.1.1"),),
        versions=("5.3.0",),
    )
    [known] = hub.catalogue.known(finder, "pkg:pypi/ujson@5.1.0")
    assert known.names == {"CVE-2021-45958", "GHSA-FM67-CV37-96FF"}
    verdicts = [known.affects(version).verdict for version in ("5.1.0", "5.3.0", "5.1.1")]
    assert verdicts == [Verdict.AFFECTED, Verdict.AFFECTED, Verdict.NOT_AFFECTED]
    assert known.affects("odd one").verdict is Verdict.UNDETERMINED
    assert hub.catalogue.known(finder, "pkg:pypi/other") == ()


NO_JUDGEMENT: list[tuple[str, dict[str, Any]]] = [
    ("not an id", {"versions": ("1.0",)}),
    ("CVE-2021-45958", {}),
    ("CVE-2021-45958", {"versions": ("odd one",)}),
    ("CVE-2021-45958", {"ranges": (Range(fixed="odd one"),)}),
    ("CVE-2021-45958", {"versions": ("1.0",), "aliases": ("\x1b[2J",)}),
]


def test_a_public_vulnerability_that_cannot_be_judged_is_refused(
    hub: Hub, coordinator: Actor, subtests: pytest.Subtests
) -> None:
    for identity, stated in NO_JUDGEMENT:
        with subtests.test(identity=identity):
            with pytest.raises(InvalidError) as refused:
                hub.catalogue.record_known(coordinator, "pkg:pypi/x", identity, **stated)
            assert refused.value.next_step


@given(st.text(max_size=40), st.text(max_size=12), st.text(max_size=40))
def test_arbitrary_targets_are_taken_or_refused_clearly(
    package: str, version: str, path: str
) -> None:
    try:
        target = make_target(
            package, versions=(version,), techniques=FUZZING, paths=(path,), now=EPOCH
        )
    except ClearholdError as refused:
        assert refused.message  # noqa: PT017  # either outcome is right
    else:
        assert target.paths == (path,)
