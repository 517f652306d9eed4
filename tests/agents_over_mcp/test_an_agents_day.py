"""What an agent does over the protocol, from the claim to the receipt, by the official client."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique
from clearhold.parties.wish import Wishes
from mcp_client import Agent

PACKAGE = "pkg:pypi/ujson"
REPORT = {
    "schema": "clearhold-finding/1",
    "package": "pkg:pypi/ujson@5.1.0",
    "title": "Overflow while indenting",
    "description": "Indenting writes past a buffer.",
    "weakness": "CWE-121",
    "target": "encode",
    "claim": {"kind": "crash"},
    "proof": base64.b64encode(b"PROOF").decode(),
}


def claimed(agent: Agent, key: str = "claim-1") -> dict[str, object]:
    return agent.ask(
        "scan_claim",
        package=PACKAGE,
        technique="fuzzing",
        version="5.1.0",
        paths=["lib/**"],
        idempotency_key=key,
    )


def test_an_agent_claims_renews_checks_submits_and_releases(
    agent_of: Callable[..., Agent], era: str
) -> None:
    """An agent's whole day works over the protocol alone, by the handshake and without one."""
    agent = agent_of(PartyKind.LAB, era=era)
    lease = claimed(agent)
    assert lease["state"] == "granted"
    held = {"lease": lease["id"], "fence": lease["fence"]}
    assert agent.ask("scan_renew", **held)["state"] == "active"
    assert [each["id"] for each in agent.ask("scan_list")["leases"]] == [lease["id"]]
    receipt = agent.ask(
        "finding_submit",
        format="clearhold-json",
        content=json.dumps(REPORT),
        idempotency_key="finding-1",
        **held,
    )
    assert receipt["under_lease"] is True
    assert agent.ask("finding_receipt", submission=receipt["submission"])["receipt"] == receipt
    finding = receipt["findings"][0]["finding"]
    assert [each["id"] for each in agent.ask("finding_list")["findings"]] == [finding]
    shown = agent.ask("finding_get", finding=finding)
    assert shown["finding"]["content"]["title"] == REPORT["title"]
    covered = agent.ask(
        "scan_report_coverage",
        outcome="found",
        effort={"executions": 31047},
        result_sha256="0" * 64,
        **held,
    )
    assert [each["id"] for each in agent.ask("scan_coverage")["coverage"]] == [covered["id"]]
    assert agent.ask("scan_map", package=PACKAGE)["rows"] == []
    assert agent.ask("scan_next", technique="fuzzing")["questions_left"] > 0
    assert agent.ask("scan_release", **held)["state"] == "released"


def test_an_agent_searches_under_its_lease_and_alone_learns_of_it(
    agent_of: Callable[..., Agent],
) -> None:
    agent, other = agent_of(PartyKind.LAB), agent_of(PartyKind.LAB)
    lease = claimed(agent)
    search = {
        "lease": lease["id"],
        "fence": lease["fence"],
        "package": "pkg:pypi/ujson@5.1.0",
        "idempotency_key": "campaign-1",
    }
    begun = agent.ask("discovery_begin", **search)
    assert agent.ask("discovery_begin", **search) == begun
    status = agent.ask("discovery_status", campaign=begun["id"])
    assert (status["state"], status["target"], status["engine"]) == (
        "queued",
        "encode",
        "libfuzzer",
    )
    assert [each["id"] for each in agent.ask("discovery_list")["campaigns"]] == [begun["id"]]
    assert other.ask("discovery_list")["campaigns"] == []
    assert other.refusal("discovery_status", campaign=begun["id"])["code"] == "not_found"
    assert other.refusal("discovery_stop", campaign=begun["id"])["code"] == "not_found"
    stolen = {**search, "idempotency_key": "campaign-2"}
    assert other.refusal("discovery_begin", **stolen)["code"] == "conflict"
    foreign = {**search, "idempotency_key": "campaign-3", "engine": "no-such-engine"}
    assert "libfuzzer" in agent.refusal("discovery_begin", **foreign)["next_step"]
    agent.ask("discovery_stop", campaign=begun["id"])
    assert agent.ask("discovery_status", campaign=begun["id"])["state"] == "stopped"
    assert agent.refusal("discovery_crash", campaign=begun["id"], number=1)["code"] == "not_found"


def test_a_repeated_claim_or_submission_has_one_effect(agent_of: Callable[..., Agent]) -> None:
    """An agent that lost an answer may ask again with the same key."""
    agent = agent_of(PartyKind.FINDER)
    assert claimed(agent) == claimed(agent)
    sent = {
        "format": "text",
        "content": "It overflows\nwhen indenting",
        "package": "pkg:pypi/ujson@5.1.0",
        "idempotency_key": "k",
    }
    assert agent.ask("finding_submit", **sent) == agent.ask("finding_submit", **sent)
    assert len(agent.ask("finding_list")["findings"]) == 1


def test_a_rival_learns_that_a_scope_is_taken_and_not_by_whom(
    agent_of: Callable[..., Agent],
) -> None:
    """The conflict tells that it is one, and neither how far it reaches nor whose it is."""
    claimed(agent_of(PartyKind.LAB))
    rival = agent_of(PartyKind.FINDER)
    told = rival.refusal(
        "scan_claim",
        package=PACKAGE,
        technique="fuzzing",
        version="5.1.0",
        paths=["lib/a.c", "python/**"],
        idempotency_key="k",
    )
    assert told["code"] == "conflict"
    assert told.keys() == {"code", "title", "next_step", "own_leases", "attempt", "free"}
    assert told["own_leases"] == []
    assert "lab-" not in json.dumps(told)
    assert "lib/a.c" not in json.dumps(told)


def test_targets_to_choose_from_are_those_of_the_catalogue(
    agent_of: Callable[..., Agent], hub: Hub, founder: str
) -> None:
    """An agent sees what may be scanned before it claims."""
    agent = agent_of(PartyKind.LAB)
    assert agent.ask("scan_targets") == {"targets": []}
    hub.catalogue.add(
        hub.authenticate(founder), PACKAGE, versions=("5.1.0",), techniques=(Technique.FUZZING,)
    )
    (target,) = agent.ask("scan_targets", package=PACKAGE)["targets"]
    assert target["package"] == PACKAGE


def test_a_check_tells_of_the_owner_and_of_oneself_and_of_nobody_else(
    agent_of: Callable[..., Agent], hub: Hub, founder: str, party_of: Callable[..., Actor]
) -> None:
    """It needs no claim, and a rival's lease changes nothing in it."""
    scope = {"package": PACKAGE, "technique": "fuzzing", "version": "5.1.0"}
    mine, rival = agent_of(PartyKind.LAB), agent_of(PartyKind.FINDER)
    nothing = {"refusal": None, "own_leases": []}
    assert mine.ask("scan_check", **scope) == rival.ask("scan_check", **scope) == nothing
    lease = claimed(mine)
    assert rival.ask("scan_check", **scope) == nothing
    assert mine.ask("scan_check", **scope)["own_leases"] == [lease["id"]]
    assert mine.ask("scan_check", **scope, paths=["doc/**"]) == nothing
    assert mine.ask("scan_check", **scope, mode="notify-only") == nothing
    owner = party_of(PartyKind.MAINTAINER)
    hub.verification.confirm(hub.authenticate(founder), owner.party, PACKAGE, reason="known")
    hub.wishes.wish(owner, PACKAGE, Wishes(do_not_scan=True))
    for agent in (mine, rival):
        assert agent.ask("scan_check", **scope)["refusal"]["code"] == "conflict"
    assert rival.refusal("scan_claim", **scope, idempotency_key="k")["code"] == "conflict"


def test_two_agents_meet_wait_for_each_other_and_are_introduced_if_both_will(
    agent_of: Callable[..., Agent],
) -> None:
    """Who waits gets the lease that the holder gives back; who says nothing is not introduced."""
    holder, waiting = agent_of(PartyKind.LAB), agent_of(PartyKind.FINDER)
    lease = claimed(holder)
    scope = {"package": PACKAGE, "technique": "fuzzing", "version": "5.1.0"}
    told = waiting.refusal("scan_claim", **scope, idempotency_key="claim-1")
    waiting.ask("scan_introduce", attempt=told["attempt"], contact="Ines, by the hub")
    assert holder.ask("scan_introductions")["introductions"] == []
    holder.ask("scan_introduce", lease=lease["id"], contact="Aurora")
    (met,) = holder.ask("scan_introductions")["introductions"]
    assert met["contact"] == "Ines, by the hub"
    assert holder.refusal("scan_introduce")["code"] == "invalid"
    place = waiting.ask("scan_queue", **scope, idempotency_key="queue-1")
    assert place["lease"] is None
    assert waiting.ask("scan_queue_list")["places"] == [place]
    assert waiting.ask("scan_queue_leave", place=place["id"])["state"] != place["state"]


def test_an_old_fence_is_refused(agent_of: Callable[..., Agent]) -> None:
    """A late holder cannot renew what is no longer theirs."""
    agent = agent_of(PartyKind.LAB)
    lease = claimed(agent)
    told = agent.refusal("scan_renew", lease=lease["id"], fence=lease["fence"] + 1)
    assert told["code"] == "conflict"


def test_bytes_are_submitted_in_base64_and_one_content_at_a_time(
    agent_of: Callable[..., Agent],
) -> None:
    """A submission has exactly one content."""
    agent = agent_of(PartyKind.LAB)
    sent = {"format": "clearhold-json", "idempotency_key": "k"}
    raw = json.dumps(REPORT)
    encoded = base64.b64encode(raw.encode()).decode()
    assert agent.refusal("finding_submit", **sent)["code"] == "invalid"
    both = {"content": raw, "content_base64": encoded}
    assert agent.refusal("finding_submit", **sent, **both)["code"] == "invalid"
    assert agent.refusal("finding_submit", **sent, content_base64="%")["code"] == "invalid"
    receipt = agent.ask("finding_submit", **sent, content_base64=encoded)
    assert receipt == agent.ask("finding_submit", **sent, content=raw)
