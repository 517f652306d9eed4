"""Four formats, one statement: valid, deterministic, and in agreement."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from drawn_advisories import UJSON, advisories, make_advisory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearhold.advisories.model import Advisory, Product
from clearhold.advisories.renderings import (
    KINDS,
    Kind,
    Renderings,
    affected_set,
    disagreements,
    render,
    validate,
)
from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.matching import Range, Verdict
from clearhold.wire.json_bounds import canonical

SCHEMAS = Path(__file__).parents[2].parent / "shared" / "schemas"
OFFICIAL: dict[Kind, str] = {"osv": "osv.schema.json", "openvex": "openvex.schema.json"}

ADVISORY = make_advisory()
EXAMPLES = [
    ADVISORY,
    make_advisory(
        products=(
            replace(UJSON, package="pkg:npm/a", ecosystem="npm"),
            Product("pkg:generic/yajl", "lloyd", "", (Range("0", None, "2.1.0"),)),
        ),
        cvss=("AV:N/AC:L/Au:N/C:N/I:N/A:C",),
        aliases=(),
    ),
]

some = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="session")
def official() -> dict[Kind, Any]:
    if not SCHEMAS.exists():
        pytest.skip(f"{SCHEMAS} is absent")
    return {
        kind: jsonschema_rs.validator_for(
            json.loads((SCHEMAS / name).read_text()), validate_formats=True
        )
        for kind, name in OFFICIAL.items()
    }


@some
@given(advisory=advisories())
def test_every_rendering_of_every_advisory_is_valid_and_agrees(
    advisory: Advisory,
) -> None:
    renderings = render(advisory)
    for kind, rendered in renderings.items():
        assert validate(kind, rendered) == ()
        assert render(advisory).items() == renderings.items()
    probes = {
        product.package: ["0", "0.1", "99", "3.5", "not a version", "1.0-1"]
        for product in advisory.products
    }
    assert disagreements(advisory, renderings, probes=probes) == ()


@some
@given(advisory=advisories())
def test_every_rendering_passes_the_official_schema(
    official: dict[Kind, Any], advisory: Advisory
) -> None:
    renderings = render(advisory)
    for kind, rendered in renderings.items():
        if kind in official:
            errors = list(official[kind].iter_errors(json.loads(rendered)))
            assert [error.message for error in errors] == []


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.text(max_size=6),
    st.just([]),
    st.just({}),
    st.just([{}]),
    st.sampled_from(
        [
            "2026-02-30T00:00:00Z",
            "2026-02-03T00:00:00+01:00",
            "CVSS_V3",
            "CVSS:4.0/AV:N",
            "not_affected",
            "affected",
            "pkg:pypi/x",
            "https://openvex.dev/ns",
            "GIT",
            "SEMVER",
        ]
    ),
    st.sampled_from(
        [
            {"introduced": "0"},
            {"fixed": "1"},
            {"last_affected": "1"},
            {"limit": "2"},
            {"introduced": "0", "fixed": "1"},
            {"type": "Ubuntu", "score": "low"},
            {"type": "CVSS_V2", "score": "x"},
        ]
    ),
)
names = st.sampled_from(
    ["severity", "package", "repo", "id", "version", "x", "justification", "limit", "fixed"]
)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> Any:
    """The document in `data` with one to three members or items changed, anywhere in it."""
    document = json.loads(data)
    for _ in range(draw(st.integers(1, 3))):
        places: list[tuple[Any, Any]] = []
        waiting = [document]
        while waiting:
            node = waiting.pop()
            for key, value in node.items() if isinstance(node, dict) else enumerate(node):
                places.append((node, key))
                if isinstance(value, dict | list):
                    waiting.append(value)
        if not places:
            break
        node, key = places[draw(st.integers(0, len(places) - 1))]
        replacement = copy.deepcopy(draw(st.just(node[key]) | junk))
        match draw(st.sampled_from(["delete", "replace", "add"])):
            case "delete":
                del node[key]
            case "add" if isinstance(node, dict):
                node[draw(names)] = replacement
            case "add":
                node.append(replacement)
            case _:
                node[key] = replacement
    return document


def is_refused(kind: Kind, data: bytes) -> bool:
    try:
        return validate(kind, data) != ()
    except InvalidError:
        return True


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), kind=st.sampled_from(sorted(OFFICIAL)))
def test_our_schema_refuses_whatever_the_official_one_refuses(
    official: dict[Kind, Any], data: st.DataObject, kind: Kind
) -> None:
    advisory = data.draw(st.sampled_from(EXAMPLES))
    document = data.draw(mutated(dict(render(advisory).items())[kind]))
    if not official[kind].is_valid(document):
        assert is_refused(kind, canonical(document))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_a_mutated_document_is_judged_or_refused_but_never_breaks_a_reader(
    data: st.DataObject, kind: Kind
) -> None:
    document = canonical(data.draw(mutated(dict(render(ADVISORY).items())[kind])))
    is_refused(kind, document)
    try:
        claims = affected_set(kind, document)
    except (InvalidError, TooLargeError) as problem:
        assert problem.message  # noqa: PT017 # either outcome is right, silence is not
        return
    for package in claims.affected:
        assert claims.judge(package, "5.1.0").reason


@given(kind=st.sampled_from(KINDS), data=st.binary())
def test_any_bytes_are_refused_by_every_reader_and_validator(kind: Kind, data: bytes) -> None:
    with pytest.raises((InvalidError, TooLargeError)):
        affected_set(kind, data)
    with pytest.raises((InvalidError, TooLargeError)):
        validate(kind, data)


def test_each_format_says_what_the_advisory_says() -> None:
    renderings = render(ADVISORY)
    csaf = json.loads(renderings.csaf)
    assert csaf["vulnerabilities"][0]["cve"] == "CVE-2021-45958"
    assert csaf["vulnerabilities"][0]["scores"][0]["cvss_v3"]["baseScore"] == 7.5
    assert csaf["document"]["references"][1]["category"] == "self"
    osv = json.loads(renderings.osv)
    assert osv["id"] == "x_CLEARHOLD-2026-0001"
    assert osv["affected"][0]["ranges"][1]["events"] == [
        {"introduced": "5.2.0"},
        {"fixed": "5.4.0"},
    ]
    vex = json.loads(renderings.openvex)
    assert [statement["status"] for statement in vex["statements"]] == ["affected", "fixed"]
    assert renderings.cve is not None
    cna = json.loads(renderings.cve)["containers"]["cna"]
    assert cna["affected"][0]["packageURL"] == "pkg:pypi/ujson"
    assert cna["credits"][1] == {"lang": "en", "value": "Lab B", "type": "tool"}
    for kind, data in renderings.items():
        claims = affected_set(kind, data)
        assert claims.judge("pkg:pypi/ujson", "5.3.0").verdict is Verdict.AFFECTED, kind
        assert claims.judge("pkg:pypi/ujson", "5.1.1").verdict is Verdict.NOT_AFFECTED, kind
        assert claims.judge("pkg:pypi/ujson", "??").verdict is Verdict.UNDETERMINED, kind
        assert claims.judge("pkg:pypi/other", "1").verdict is Verdict.NOT_AFFECTED, kind


def test_without_a_cve_id_there_is_no_cve_record() -> None:
    renderings = render(make_advisory(aliases=()))
    assert renderings.cve is None
    assert [kind for kind, _ in renderings.items()] == ["csaf", "osv", "openvex"]


def tampered(renderings: Renderings, kind: Kind, edit: Callable[[Any], None]) -> Renderings:
    documents = dict(renderings.items())
    document = json.loads(documents[kind])
    edit(document)
    documents[kind] = canonical(document)
    return Renderings(
        csaf=documents["csaf"],
        osv=documents["osv"],
        openvex=documents["openvex"],
        cve=documents.get("cve"),
    )


def _csaf_leaves(document: Any) -> Any:
    return document["product_tree"]["branches"][0]["branches"][0]["branches"]


TAMPERINGS: list[tuple[Kind, Callable[[Any], Any], str]] = [
    (
        "osv",
        lambda d: d["affected"][0]["ranges"][0]["events"][1].update(fixed="5.0.0"),
        "5.0.0 is not_affected, while the advisory says affected",
    ),
    ("osv", lambda d: d.update(id="x_OTHER-1"), "speaks of OTHER-1"),
    ("osv", lambda d: d.update(aliases=[]), "does not name CVE-2021-45958"),
    (
        "csaf",
        lambda d: _csaf_leaves(d)[0].update(name="vers:pypi/>=1.34|<5.2.0"),
        "5.1.1 is affected, while the advisory says not_affected",
    ),
    ("csaf", lambda d: _csaf_leaves(d)[0].update(name="before 5.2"), "cannot be read back"),
    (
        "csaf",
        lambda d: d["vulnerabilities"][0]["product_status"]["fixed"].append("P1-V1"),
        "5.1.0 is not_affected, while the advisory says affected",
    ),
    (
        "openvex",
        lambda d: d["statements"][0]["products"].pop(0),
        "1.34 is not_affected, while the advisory says affected",
    ),
    (
        "cve",
        lambda d: d["containers"]["cna"]["affected"][0]["versions"].append(
            {"version": "5.4.0", "status": "affected"}
        ),
        "5.4.0 is affected, while the advisory says not_affected",
    ),
    (
        "cve",
        lambda d: d["containers"]["cna"]["affected"][0].update(packageURL="pkg:pypi/orjson"),
        "names the packages pkg:pypi/orjson",
    ),
    ("cve", lambda d: d["cveMetadata"].update(cveId="CVE-2021-45959"), "speaks of CVE-2021-45959"),
]


@pytest.mark.parametrize(("kind", "edit", "said"), TAMPERINGS)
def test_a_rendering_that_says_something_else_is_found_out(
    kind: Kind, edit: Callable[[Any], None], said: str
) -> None:
    renderings = tampered(render(ADVISORY), kind, edit)
    found = disagreements(ADVISORY, renderings, probes={"pkg:pypi/ujson": ["5.0.0", "1.34"]})
    assert any(sentence.startswith(f"{kind}: ") and said in sentence for sentence in found), found


def test_a_missing_cve_record_is_found_out() -> None:
    whole = render(ADVISORY)
    partial = Renderings(csaf=whole.csaf, osv=whole.osv, openvex=whole.openvex, cve=None)
    assert disagreements(ADVISORY, partial, probes={}) == (
        "cve: there is no record for CVE-2021-45958.",
    )


def test_a_document_that_breaks_its_schema_is_named_with_the_place() -> None:
    def spoil(document: Any) -> None:
        for part in ("document", "affected", "statements", "containers"):
            if part in document:
                document[part] = 5

    for kind in KINDS:
        broken = dict(tampered(render(ADVISORY), kind, spoil).items())[kind]
        problems = validate(kind, broken)
        assert problems
        assert "/" in problems[0]


def test_csaf_mandatory_tests_are_run_beyond_the_schema() -> None:
    document = json.loads(render(ADVISORY).csaf)
    document["vulnerabilities"][0]["product_status"]["fixed"].append("NOWHERE")
    assert any(problem.startswith("6.1.1 ") for problem in validate("csaf", canonical(document)))


def test_checking_csaf_leaves_the_root_logger_alone() -> None:
    program = (
        "import logging; before = (list(logging.root.handlers), logging.root.level)\n"
        "from clearhold.wire import csaf_document\n"
        "csaf_document.problems(b'{}')\n"
        "assert before == (logging.root.handlers, logging.root.level), logging.root\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
