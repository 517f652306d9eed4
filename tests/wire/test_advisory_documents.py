"""Readers of OSV, OpenVEX, CSAF, CVE and VERS on real documents and on awkward ones."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Range, Verdict
from clearhold.wire import csaf_document, cve_record, openvex, osv, severity_vector, vers
from clearhold.wire.claims import Claims

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def as_bytes(document: Any) -> bytes:
    return json.dumps(document).encode()


@given(
    st.sampled_from(["pypi", "deb", "npm"]),
    st.lists(st.integers(1, 300), min_size=2, max_size=2, unique=True).map(sorted),
    st.sampled_from(["fixed", "last_affected"]),
)
def test_a_range_survives_vers(kind: str, numbers: list[int], end: str) -> None:
    low, high = (f"{number // 10}.{number % 10}" for number in numbers)
    for stated in (Range(), Range(low), Range("0", **{end: high}), Range(low, **{end: high})):
        assert vers.read(vers.write(kind, stated)) == (kind, (stated,), ())


def test_vers_carries_versions_that_need_quoting() -> None:
    stated = Range("1:1.0~rc1", "1:1.2+dfsg-1|x>")
    assert vers.write("deb", stated) == "vers:deb/>=1%3A1.0~rc1|<1%3A1.2%2Bdfsg-1%7Cx%3E"
    assert vers.read("vers:deb/>=1%3A1.0~rc1|<1%3A1.2%2Bdfsg-1") == (
        "deb",
        (Range("1:1.0~rc1", "1:1.2+dfsg-1"),),
        (),
    )


def test_vers_with_several_ranges_and_versions_is_read() -> None:
    assert vers.read("vers:pypi/>=3.0|<1.5|>=2.0|<=2.5|1.9") == (
        "pypi",
        (Range("0", "1.5"), Range("2.0", None, "2.5"), Range("3.0")),
        ("1.9",),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pypi/<1",
        "vers:pypi",
        "vers:pypi/",
        "vers:pypi/>1.0",
        "vers:pypi/!=1.0",
        "vers:pypi/<1.0|<2.0",
        "vers:pypi/>=1.0|>=2.0",
        "vers:pypi/<",
        "vers:pypi/<%ff",
        "vers:pypi/<one",
        "vers:maven/<1",
        "vers:pypi/" + "<1|" * 3000,
    ],
)
def test_vers_that_cannot_be_meant_as_ranges_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        vers.read(text)
    assert caught.value.next_step


@given(st.text() | st.text(alphabet="<>=!|*%1.a").map(lambda text: "vers:pypi/" + text))
def test_any_text_is_vers_or_refused(text: str) -> None:
    try:
        _, ranges, listed = vers.read(text)
    except InvalidError:
        return
    assert ranges or listed


OSV: dict[str, Any] = {
    "id": "PYSEC-1",
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "a", "purl": "pkg:pypi/a"},
            "ranges": [
                {
                    "type": "ECOSYSTEM",
                    "events": [
                        {"introduced": "0"},
                        {"fixed": "1.0"},
                        {"introduced": "2.0"},
                        {"last_affected": "2.5"},
                        {"introduced": "3.0"},
                    ],
                },
                {"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]},
            ],
        },
        {"package": {"ecosystem": "PyPI", "name": "unnamed"}, "versions": ["1"]},
    ],
}


def test_osv_events_are_paired_in_order_and_git_ranges_left_out() -> None:
    claims = osv.read(as_bytes(OSV))
    assert claims.affected["pkg:pypi/a"].ranges == (
        Range("0", "1.0"),
        Range("2.0", None, "2.5"),
        Range("3.0"),
    )
    assert claims.names == {"PYSEC-1"}
    assert claims.fixed == {"pkg:pypi/a": frozenset({"1.0"})}


def test_an_end_without_a_beginning_is_refused() -> None:
    record = json.loads(as_bytes(OSV))
    record["affected"][0]["ranges"][0]["events"] = [{"fixed": "1.0"}]
    with pytest.raises(InvalidError, match="no beginning"):
        osv.read(as_bytes(record))


def test_ids_of_unlisted_databases_are_marked() -> None:
    assert osv.record_id("CLEARHOLD-2026-1") == "x_CLEARHOLD-2026-1"
    assert osv.record_id("GHSA-aaaa-bbbb-cccc") == "GHSA-aaaa-bbbb-cccc"


def openvex_document(status: str, purl: str) -> bytes:
    return as_bytes(
        {
            "statements": [
                {
                    "vulnerability": {"name": "CVE-2026-1234"},
                    "status": status,
                    "products": [{"@id": purl}],
                }
            ]
        }
    )


def test_openvex_products_are_read_from_their_ids() -> None:
    claims = openvex.read(openvex_document("affected", "pkg:pypi/a@1.0"))
    assert claims.judge("pkg:pypi/a", "1.0").verdict is Verdict.AFFECTED
    assert claims.judge("pkg:pypi/a", "1.1").verdict is Verdict.NOT_AFFECTED


def test_openvex_that_does_not_say_which_versions_is_refused() -> None:
    with pytest.raises(InvalidError, match="without a version"):
        openvex.read(openvex_document("affected", "pkg:pypi/a"))
    with pytest.raises(InvalidError, match="no affected package"):
        openvex.read(openvex_document("fixed", "pkg:pypi/a@1"))


def cve_document(**product: Any) -> bytes:
    product = {"packageURL": "pkg:pypi/a", "defaultStatus": "unaffected"} | product
    return as_bytes(
        {
            "cveMetadata": {"cveId": "CVE-2026-1234"},
            "containers": {"cna": {"affected": [product]}},
        }
    )


def test_cve_ranges_are_read() -> None:
    stated = [
        {"version": "0", "status": "affected", "versionType": "python", "lessThan": "1.0"},
        {"version": "2", "status": "affected", "versionType": "python", "lessThanOrEqual": "3"},
        {"version": "4", "status": "affected", "versionType": "python", "lessThan": "*"},
        {"version": "1.5", "status": "affected"},
        {"version": "3.1", "status": "unaffected"},
    ]
    claims = cve_record.read(cve_document(versions=stated))
    affected = claims.affected["pkg:pypi/a"]
    assert affected.ranges == (Range("0", "1.0"), Range("2", None, "3"), Range("4"))
    assert affected.versions == ("1.5",)
    assert claims.fixed == {"pkg:pypi/a": frozenset({"3.1"})}


@pytest.mark.parametrize(
    "product",
    [
        {"defaultStatus": "affected", "versions": []},
        {
            "versions": [
                {
                    "version": "1",
                    "status": "affected",
                    "versionType": "python",
                    "lessThan": "2",
                    "changes": [{"at": "1.5", "status": "unaffected"}],
                }
            ]
        },
        {"packageURL": None, "versions": [{"version": "1", "status": "affected"}]},
    ],
)
def test_a_cve_record_whose_meaning_is_uncertain_is_refused(product: dict[str, Any]) -> None:
    with pytest.raises(InvalidError) as caught:
        cve_record.read(cve_document(**product))
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("vector", "version", "base"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "3.1", 9.8),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", "3.0", 0.0),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "4.0", 9.3),
        ("AV:N/AC:L/Au:N/C:N/I:N/A:C", "2.0", 7.8),
    ],
)
def test_vectors_are_scored(vector: str, version: str, base: float) -> None:
    scored = severity_vector.score(vector)
    assert (scored.version, scored.base_score) == (version, base)
    assert scored.base_severity.isupper()


@given(st.text() | st.text(alphabet="CVSS:34.01/AVNLPRUI").map(lambda text: "CVSS:3.1/" + text))
def test_any_other_text_is_no_vector(text: str) -> None:
    with pytest.raises(InvalidError):
        severity_vector.score(text)


def documents(archive: str, count: int) -> list[tuple[str, bytes]]:
    path = DATA / archive
    if not path.exists():
        pytest.skip(f"{path} is absent")
    with zipfile.ZipFile(path) as opened:
        names = [name for name in opened.namelist() if name.endswith(".json")]
        step = max(1, len(names) // count)
        return [(name, opened.read(name)) for name in names[::step]]


@pytest.mark.parametrize(
    ("archive", "read", "some_are_read"),
    [
        ("osv/PyPI/all.zip", osv.read, True),
        ("openvex/vexhub.zip", openvex.read, False),
        ("vulnrichment/cves.zip", cve_record.read, False),
        ("csaf/cisa.zip", csaf_document.read, False),
    ],
)
def test_real_documents_are_read_or_refused_with_a_reason(
    archive: str,
    read: Callable[[bytes], Claims],
    some_are_read: bool,  # noqa: FBT001 # a column of the table above
) -> None:
    were_read = 0
    for name, data in documents(archive, 150):
        try:
            claims = read(data)
        except InvalidError as problem:
            assert problem.next_step, name  # noqa: PT017 # a refusal must help
            continue
        were_read += 1
        assert all(a.ranges or a.versions for a in claims.affected.values()), name
    assert bool(were_read) >= some_are_read


def test_real_records_pass_the_checks_that_published_them() -> None:
    for name, data in documents("vulnrichment/cves.zip", 150):
        assert cve_record.problems(data) == (), name
    failed = [name for name, data in documents("csaf/cisa.zip", 25) if csaf_document.problems(data)]
    assert len(failed) <= 1
