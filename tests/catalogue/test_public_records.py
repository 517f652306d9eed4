"""Published records, as their databases write them, become what the public knows."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.catalogue.service import MOST_RECORDS
from clearhold.kernel.errors import ClearholdError, DeniedError, InvalidError, TooLargeError
from clearhold.kernel.matching import Range, Verdict
from clearhold.wire import public_flaw


def osv(identity: str = "GHSA-wpqr-jcpx-745r", **given: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "modified": "2024-01-01T00:00:00Z",
        "aliases": ["CVE-2022-31116"],
        "summary": "Wrong decoding of lone surrogates",
        "details": "`ujson.loads` in `ultrajsondec.c` takes an escaped surrogate for text.",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "ujson"},
                "ranges": [
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5.4.0"}]}
                ],
            }
        ],
        "database_specific": {"cwe_ids": ["CWE-670"]},
    } | given


def cve(**product: Any) -> dict[str, Any]:
    affected = {
        "vendor": "Acme",
        "product": "Parser",
        "versions": [{"version": "1.0", "lessThan": "2.0", "status": "affected"}],
    } | product
    return {
        "dataType": "CVE_RECORD",
        "dataVersion": "5.1",
        "cveMetadata": {"cveId": "CVE-2024-1000", "state": "PUBLISHED"},
        "containers": {
            "cna": {
                "affected": [affected],
                "descriptions": [{"lang": "en", "value": "A buffer overflow in parse_header."}],
                "problemTypes": [{"descriptions": [{"cweId": "CWE-787"}]}],
            }
        },
    }


def kev(*names: str) -> str:
    entries = [
        {"cveID": name, "dateAdded": "2026-08-07", "knownRansomwareCampaignUse": "Known"}
        for name in names
    ]
    return json.dumps({"catalogVersion": "2026.08.07", "vulnerabilities": entries})


@pytest.fixture
def coordinator(party_of: Callable[..., Actor]) -> Actor:
    return party_of(PartyKind.COORDINATOR)


def test_a_package_without_package_url_is_named_by_its_ecosystem() -> None:
    read = public_flaw.read(json.dumps(osv()).encode())
    assert read.claims is not None
    assert list(read.claims.affected) == ["pkg:pypi/ujson"]
    assert read.names == ("GHSA-wpqr-jcpx-745r", "CVE-2022-31116")
    assert read.weaknesses == ("CWE-670",)


@pytest.mark.parametrize(
    ("ecosystem", "name", "package"),
    [
        (
            "Go",
            "github.com/seccomp/libseccomp-golang",
            "pkg:golang/github.com/seccomp/libseccomp-golang",
        ),
        ("Maven", "org.yaml:snakeyaml", "pkg:maven/org.yaml/snakeyaml"),
        ("AlmaLinux:9", "libxml2", "pkg:rpm/almalinux/libxml2"),
        ("Debian:12", "jq", "pkg:deb/debian/jq"),
        ("npm", "@babel/core", "pkg:npm/%40babel/core"),
    ],
)
def test_every_ecosystem_has_its_purl(ecosystem: str, name: str, package: str) -> None:
    affected = [{"package": {"ecosystem": ecosystem, "name": name}, "versions": ["1"]}]
    read = public_flaw.read(json.dumps(osv(affected=affected)).encode())
    assert read.claims is not None
    assert list(read.claims.affected) == [package]


def test_functions_that_a_record_lists_as_vulnerable_are_kept() -> None:
    place = {
        "package": {"ecosystem": "Go", "name": "example.org/m"},
        "versions": ["1.0.0"],
        "ecosystem_specific": {"imports": [{"path": "m", "symbols": ["Filter.AddRule", 3]}]},
    }
    read = public_flaw.read(json.dumps(osv(affected=[place])).encode())
    assert read.symbols == ("Filter.AddRule",)


def test_a_distributions_advisory_goes_by_the_names_it_is_about() -> None:
    record = osv("ALSA-2025:10630", aliases=None, related=["CVE-2025-49794"])
    assert public_flaw.read(json.dumps(record).encode()).names == (
        "ALSA-2025:10630",
        "CVE-2025-49794",
    )


@pytest.mark.parametrize(
    ("product", "version", "verdict"),
    [
        ({}, "1.5", Verdict.AFFECTED),
        ({}, "2.0", Verdict.NOT_AFFECTED),
        ({"defaultStatus": "affected", "versions": []}, "9.0", Verdict.AFFECTED),
        (
            {"versions": [{"version": "1.0", "status": "affected", "changes": [{"at": "3"}]}]},
            "2.0",
            Verdict.AFFECTED,
        ),
    ],
)
def test_what_a_cve_record_says_unclearly_counts_as_affected(
    product: dict[str, Any], version: str, verdict: Verdict
) -> None:
    read = public_flaw.read(json.dumps(cve(**product)).encode())
    assert read.claims is not None
    assert read.claims.judge("pkg:generic/Acme/Parser", version).verdict is verdict


def test_a_record_that_takes_long_to_judge_is_refused_with_the_reason() -> None:
    affected = osv()["affected"]
    affected[0]["versions"] = [f"1.{number}" for number in range(public_flaw.MOST_STATED)]
    with pytest.raises(TooLargeError, match="GHSA-wpqr-jcpx-745r states 10001 ranges"):
        public_flaw.read(json.dumps(osv(affected=affected)).encode())


@given(st.binary(max_size=400) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["id", "cveMetadata", "containers", "cna", "affected", "package", "ranges", "events",
             "vulnerabilities", "catalogVersion", "ecosystem_specific", "imports", "symbols"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=20,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_comes_is_read_or_refused_in_a_sentence(content: bytes) -> None:
    for read in (public_flaw.read, public_flaw.read_exploited):
        problem = refusal(read, content)
        assert problem is None or (problem.message and problem.next_step)


def refusal(read: Callable[[bytes], object], content: bytes) -> ClearholdError | None:
    try:
        read(content)
    except ClearholdError as problem:
        return problem
    return None


def test_records_are_taken_replaced_and_taken_out(hub: Hub, coordinator: Actor) -> None:
    first = hub.catalogue.import_public(coordinator, [json.dumps(osv()), json.dumps(cve()), "{"])
    assert (first.taken, first.withdrawn, first.rows) == (2, 0, 2)
    assert [place for place, _ in first.refused] == [2]
    [known] = hub.catalogue.known(coordinator, "pkg:pypi/ujson")
    assert known.aliases == ("CVE-2022-31116",)
    assert known.summary == "Wrong decoding of lone surrogates"
    assert known.affected.ranges == (Range(fixed="5.4.0"),)
    assert "ultrajsondec.c" in known.terms.names

    moved = osv(affected=[{"package": {"ecosystem": "npm", "name": "u"}, "versions": ["1.0.0"]}])
    hub.catalogue.import_public(coordinator, [json.dumps(moved)])
    assert hub.catalogue.known(coordinator, "pkg:pypi/ujson") == ()
    assert len(hub.catalogue.known(coordinator, "pkg:npm/u")) == 1

    gone = hub.catalogue.import_public(
        coordinator, [json.dumps(osv(withdrawn="2025-01-01T00:00:00Z"))]
    )
    assert (gone.taken, gone.withdrawn) == (0, 1)
    assert hub.catalogue.known(coordinator, "pkg:npm/u") == ()


def test_what_several_sources_say_under_one_id_stands_side_by_side(
    hub: Hub, coordinator: Actor
) -> None:
    hub.catalogue.record_known(coordinator, "pkg:pypi/parser", "CVE-2024-1000", versions=("1.0",))
    hub.catalogue.import_public(coordinator, [json.dumps(cve())])
    named_so = osv("CVE-2024-1000", aliases=[])
    hub.catalogue.import_public(coordinator, [json.dumps(named_so)])
    packages = ("pkg:pypi/parser", "pkg:generic/Acme/Parser", "pkg:pypi/ujson")
    assert [len(hub.catalogue.known(coordinator, each)) for each in packages] == [1, 1, 1]
    withdrawn = named_so | {"withdrawn": "2025-01-01T00:00:00Z"}
    hub.catalogue.import_public(coordinator, [json.dumps(withdrawn)])
    assert [len(hub.catalogue.known(coordinator, each)) for each in packages] == [1, 1, 0]


def test_of_one_record_given_twice_the_later_counts(hub: Hub, coordinator: Actor) -> None:
    twice = [json.dumps(osv(summary="old")), json.dumps(osv(summary="new"))]
    assert hub.catalogue.import_public(coordinator, twice).taken == 1
    [known] = hub.catalogue.known(coordinator, "pkg:pypi/ujson")
    assert known.summary == "new"


def test_only_coordinators_import_and_only_so_much_at_once(
    hub: Hub, coordinator: Actor, party_of: Callable[..., Actor]
) -> None:
    finder = party_of(PartyKind.FINDER)
    with pytest.raises(DeniedError):
        hub.catalogue.import_public(finder, [])
    with pytest.raises(DeniedError):
        hub.catalogue.import_exploited(finder, kev())
    with pytest.raises(TooLargeError):
        hub.catalogue.import_public(coordinator, ["{}"] * (MOST_RECORDS + 1))


def test_a_broken_catalogue_of_exploited_flaws_replaces_nothing(
    hub: Hub, coordinator: Actor
) -> None:
    assert hub.catalogue.import_exploited(coordinator, kev("CVE-2022-31116")) == 1
    for broken in ("{}", kev("CVE-x"), "[]"):
        with pytest.raises(InvalidError):
            hub.catalogue.import_exploited(coordinator, broken)
    assert hub.catalogue.import_exploited(coordinator, kev()) == 0


@pytest.mark.parametrize("ecosystem", ["PyPI", "Go", "AlmaLinux", "Bitnami", "OSS-Fuzz"])
def test_real_records_are_read(ecosystem: str, shared: Path) -> None:
    with zipfile.ZipFile(shared / "data" / "osv" / ecosystem / "all.zip") as records:
        contents = [records.read(name) for name in records.namelist()[::10]]
    refused = [problem for each in contents if (problem := refusal(public_flaw.read, each))]
    assert {each.message for each in refused} <= {"The document names no affected package."}
    assert len(refused) <= len(contents) // 100


def test_the_real_catalogue_of_exploited_flaws_is_read(shared: Path) -> None:
    file = shared / "data" / "kev" / "known_exploited_vulnerabilities.json"
    assert len(public_flaw.read_exploited(file.read_bytes())) > 1000
