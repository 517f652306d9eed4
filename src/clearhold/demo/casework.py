"""Acts 7 and 8: a case under embargo, and two candidate fixes on trial."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from clearhold.demo import material
from clearhold.demo.scene import COORDINATOR, LAB_A, LAB_B, MAINTAINER, Scene, expect
from clearhold.kernel.errors import ConflictError

EMBARGO = timedelta(days=30)
REAL = "the maintainers' fix"
_JUDGING_SECONDS = 420
_WHY = {"reason": "a maintainer needs the proofs to judge a fix"}


def case(scene: Scene) -> None:
    """Open the case, read the maintainer in, and agree an embargo."""
    coordinator, maintainer = scene.cast[COORDINATOR], scene.cast[MAINTAINER]
    vulnerability = scene.facts["findings"]["lab A's crash"]["id"]  # the earliest report of it
    opened = coordinator.post(
        "/cases",
        {"vulnerability": vulnerability, "title": "ujson: overflow while indenting"},
        key=scene.key("case"),
    )
    identity = opened["id"]
    scene.progress.tell(f"case {identity} with {len(opened['findings'])} findings")
    _read_in(scene, identity)
    maintainer.post(f"/cases/{identity}/messages", {"text": "Received."}, key=scene.key("hello"))
    for step in ("validate", "accept"):
        state = maintainer.get(f"/cases/{identity}")["report"]
        if state == {"validate": "received", "accept": "valid"}[step]:
            maintainer.post(f"/cases/{identity}/report", {"step": step})
    agreed = coordinator.get(f"/cases/{identity}")
    if agreed["embargo_state"] in {"none", "proposed"}:
        agreed = _agree(scene, identity, datetime.fromisoformat(opened["opened_at"]) + EMBARGO)
    scene.facts["case"] = agreed
    scene.progress.tell(f"embargo until {agreed['publication_time']}, signed by all four parties")
    scene.progress.tell("operators may be told early that something urgent comes, not what")


def _read_in(scene: Scene, identity: str) -> None:
    """Read the maintainer in to everything, which one coordinator alone may not do.

    Whatever an earlier, interrupted run had already proposed, approved or done is taken up.
    """
    coordinator, second = scene.cast[COORDINATOR], scene.cast["second"]
    wish = {
        "party": MAINTAINER,
        "role": "vendor",
        "tier": 0,
        "reason": "maintains the affected package",
    }
    try:
        coordinator.post(f"/cases/{identity}/participants", wish)
    except ConflictError as refusal:
        expect(refusal.facts.get("act") == "read-in-tier-0", refusal.message)
        asked = {name: refusal.facts[name] for name in ("act", "subject", "particulars")}
        known = [
            each
            for each in coordinator.get("/approvals")
            if each["state"] in {"proposed", "approved"}
            and {name: each[name] for name in asked} == asked
        ]
        proposed = known[0] if known else coordinator.post("/approvals", asked | _WHY)
        second.post(f"/approvals/{proposed['id']}/approval")
        coordinator.post(f"/cases/{identity}/participants", wish)
        scene.progress.tell("one coordinator alone is refused; a second person approves")
    scene.progress.tell("the maintainers of ujson are read in, tier 0")


def patches(scene: Scene) -> None:
    """Try a fix that hides one proof, and the real one."""
    maintainer, identity = scene.cast[MAINTAINER], scene.facts["case"]["id"]
    tried = {
        "a model's fix": (LAB_B, "model", material.hiding_fix()),
        REAL: (MAINTAINER, "maintainer", material.real_fix()),
    }
    sent = {
        name: (
            party,
            scene.cast[party].post(
                "/patches",
                {
                    "case": identity,
                    "diff": base64.b64encode(diff).decode(),
                    "origin": origin,
                    "note": name,
                },
                key=scene.key(name),
            )["id"],
        )
        for name, (party, origin, diff) in tried.items()
    }
    scene.facts["patches"] = {}
    for name, (party, patch) in sent.items():
        judged = scene.wait(
            lambda party=party, patch=patch: scene.cast[party].get(f"/patches/{patch}"),  # type: ignore[misc]
            ended=lambda each: each["judgement"] is not None,
            show=lambda each, name=name: f"{name}: {each['state']}",  # type: ignore[misc]
            seconds=_JUDGING_SECONDS,
        )
        scene.facts["patches"][name] = judged
        judgement = judged["judgement"]
        stopped = sum(proof["stopped"] for proof in judgement["proofs"])
        scene.progress.tell(f"{name}: {judged['state']}, {judgement['kind']}")
        scene.progress.tell(f"  {judgement['reason']}")
        tests = f"; {judgement['tests']}" if judgement["tests"] else ""
        scene.progress.tell(f"  stops {stopped} of {len(judgement['proofs'])} proofs{tests}")
    hidden, real = (scene.facts["patches"][name]["state"] for name in tried)
    expect(hidden == "refused", "A fix that only hides a proof was not refused.")
    expect(real == "accepted", "The real fix was not accepted.")
    _, ours = sent[REAL]
    maintained = maintainer.get(f"/patches/{ours}")
    if maintained["adopted_at"] is None:
        maintained = maintainer.post(f"/patches/{ours}/adoption")
    expect(maintained["deliverable"], "The accepted fix was not made ready to install.")


def release_date(scene: Scene, soon: timedelta) -> datetime:
    """With a proved fix in hand, let the parties agree to publish at a nearer instant."""
    coordinator, identity = scene.cast[COORDINATOR], scene.facts["case"]["id"]
    current = coordinator.get(f"/cases/{identity}")
    scene.facts["case"] = current
    if current["embargo_state"] == "exited":
        return datetime.fromisoformat(current["embargo"]["until"])
    near = datetime.fromisoformat(current["publication_time"])
    if near - datetime.now(UTC) > timedelta(days=1):
        whole = datetime.now(UTC).replace(microsecond=0)
        current = _agree(scene, identity, whole + soon)
    scene.facts["case"] = current
    return datetime.fromisoformat(current["publication_time"])


def _agree(scene: Scene, identity: str, until: datetime) -> dict[str, Any]:
    """Let the coordinator propose an embargo and everybody sign it, unless they have."""
    coordinator = scene.cast[COORDINATOR]
    known: dict[str, Any] = coordinator.get(f"/cases/{identity}")
    standing = known["embargo"]
    if standing is None or datetime.fromisoformat(standing["until"]) != until:
        proposed = coordinator.post(
            f"/cases/{identity}/embargoes",
            {
                "until": until.isoformat(),
                "terms": "Nothing is published before the instant; fixes are tested quietly.",
                "operators_early_notice": True,
            },
        )
        embargo = (proposed["proposal"] or proposed["embargo"])["id"]
    else:
        embargo = standing["id"]
    for party in (MAINTAINER, LAB_A, LAB_B):
        view = scene.cast[party].get(f"/cases/{identity}")
        open_ones = [each for each in (view["proposal"], view["embargo"]) if each]
        mine = next((each for each in open_ones if each["id"] == embargo), None)
        if mine is not None and mine["your_consent"] != "signatory":
            scene.cast[party].post(f"/cases/{identity}/embargoes/{embargo}/acceptance")
    agreed: dict[str, Any] = coordinator.get(f"/cases/{identity}")
    expect(agreed["publication_time"] is not None, "No embargo is in force.")
    return agreed
