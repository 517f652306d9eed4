"""SARIF as tools write it, with proofs inside, within limits."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.wire import sarif

LOG: dict[str, Any] = {
    "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
    "version": "2.1.0",
    "runs": [
        {
            "tool": {
                "driver": {
                    "name": "scanner",
                    "semanticVersion": "1.2.3",
                    "rules": [
                        {
                            "id": "stack-overflow",
                            "defaultConfiguration": {"level": "error"},
                            "messageStrings": {"default": {"text": "{0} overflows in {1}"}},
                        }
                    ],
                }
            },
            "artifacts": [
                {"location": {"uri": "lib/ujson.c"}},
                {"contents": {"binary": base64.b64encode(b"[[[").decode()}},
            ],
            "results": [
                {
                    "ruleIndex": 0,
                    "message": {"id": "default", "arguments": ["buffer", "encode"]},
                    "locations": [
                        {
                            "physicalLocation": {
                                "artifactLocation": {"index": 0},
                                "region": {"startLine": 42},
                            },
                            "logicalLocations": [{"fullyQualifiedName": "ujson::encode"}],
                        }
                    ],
                    "partialFingerprints": {"primaryLocationLineHash": "abc"},
                    "properties": {"clearhold/proof": 1, "clearhold/target": "dumps", "x": [1]},
                },
                {"ruleId": "other", "message": {"text": "odd"}, "locations": None, "level": None},
            ],
        },
        {"tool": {"driver": {"name": "idle"}}},
    ],
}


def read(log: Any) -> sarif.SarifLog:
    return sarif.read(json.dumps(log).encode())


def changed(**members: Any) -> dict[str, Any]:
    log = copy.deepcopy(LOG)
    log["runs"][0]["results"][0] |= members
    return log


def test_a_log_is_read_with_rules_messages_and_proofs_resolved() -> None:
    run, idle = read(LOG).runs
    assert (run.tool, run.tool_version) == ("scanner", "1.2.3")
    first, second = run.results
    assert first.rule_id == "stack-overflow"
    assert first.level == "error"
    assert first.message == "buffer overflows in encode"
    assert first.locations == (sarif.Location("lib/ujson.c", 42, "ujson::encode"),)
    assert first.fingerprints == {"primaryLocationLineHash": "abc"}
    assert first.proof == sarif.Proof(b"[[[", "dumps")
    assert first.properties["x"] == [1]
    assert (second.level, second.locations, second.proof) == ("warning", (), None)
    assert idle.results == ()


def test_a_byte_order_mark_and_unknown_members_are_tolerated() -> None:
    log = LOG | {"inlineExternalProperties": [{"guid": 5}]}
    assert sarif.read(b"\xef\xbb\xbf" + json.dumps(log).encode()).runs[0].tool == "scanner"


@pytest.mark.parametrize(
    "properties",
    [
        {"clearhold/proof": 0},
        {"clearhold/proof": 2},
        {"clearhold/proof": -1},
        {"clearhold/proof": True},
        {"clearhold/proof": "1"},
        {"clearhold/proof": 1, "clearhold/target": 5},
        {"clearhold/proof": 1, "clearhold/target": "x" * 65},
    ],
)
def test_a_proof_that_is_not_there_is_refused(properties: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="proof of result 0"):
        read(changed(properties=properties))


def test_a_proof_that_is_not_base64_is_refused() -> None:
    log = copy.deepcopy(LOG)
    log["runs"][0]["artifacts"][1]["contents"]["binary"] = "é!"
    with pytest.raises(InvalidError, match="not base64"):
        read(log)


def test_limits_are_strict() -> None:
    with pytest.raises(TooLargeError, match="locations"):
        read(changed(locations=[{}] * (sarif.MAX_LOCATIONS + 1)))
    log = copy.deepcopy(LOG)
    log["runs"][0]["results"] = [{}] * (sarif.MAX_RESULTS + 1)
    with pytest.raises(TooLargeError, match="results"):
        read(log)
    log = copy.deepcopy(LOG)
    log["runs"][0]["artifacts"][1]["contents"]["binary"] = "A" * (6 * 1024 * 1024)
    with pytest.raises(TooLargeError, match="proof"):
        read(log)


def test_a_small_log_cannot_be_made_to_grow() -> None:
    bomb = {"text": "{0}" * 1_000_000, "arguments": ["{0}" * 1_000_000]}
    assert len(read(changed(message=bomb)).runs[0].results[0].message) == sarif.MAX_MESSAGE
    log = copy.deepcopy(LOG)
    log["runs"][0]["artifacts"][1]["contents"]["binary"] = "AAAA" * 1_000_000
    log["runs"][0]["results"] = [{"properties": {"clearhold/proof": 1}}] * sarif.MAX_RESULTS
    proofs = {id(result.proof.data) for result in read(log).runs[0].results if result.proof}
    assert len(proofs) == 1


@pytest.mark.parametrize("log", [{}, [], {"version": "2.0.0", "runs": []}, {"version": "2.1.0"}])
def test_what_is_not_this_sarif_is_refused(log: Any) -> None:
    with pytest.raises(InvalidError) as caught:
        read(log)
    assert caught.value.next_step


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(
    st.sampled_from(
        ["ruleIndex", "message", "locations", "properties", "partialFingerprints", "level", "rule"]
    ),
    junk,
)
def test_any_member_of_a_result_is_read_or_refused(member: str, value: Any) -> None:
    try:
        log = read(changed(**{member: value}))
    except (InvalidError, TooLargeError) as problem:
        assert problem.message  # noqa: PT017 # either outcome is right, an empty answer is not
    else:
        assert len(log.runs[0].results) == 2


@given(st.binary())
def test_any_bytes_are_refused_as_a_log(data: bytes) -> None:
    with pytest.raises((InvalidError, TooLargeError)):
        sarif.read(data)
