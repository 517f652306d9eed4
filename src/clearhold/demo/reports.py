"""Acts 4 to 6: four reports come in, are validated, and are told apart."""

from __future__ import annotations

import base64
import json
from typing import Any

from clearhold.delivery.client import HubClient
from clearhold.demo import material
from clearhold.demo.scene import (
    COORDINATOR,
    FINDER,
    LAB_A,
    LAB_B,
    PACKAGE,
    VULNERABLE,
    Scene,
    expect,
)
from clearhold.kernel.errors import NotFoundError

FALSE = "a convincing report"
_VALIDATION_SECONDS = 420
_GONE_WHEN_FIXED = 3  # the level of evidence that needs a clean run on the fixed version


def intake(scene: Scene) -> None:
    """Submit every report of the story: four true ones and one that convinces only its reader."""
    campaign, lease = scene.facts["campaign"], scene.facts["lease"]
    crash: bytes = scene.facts["crash"]
    ours = {"lease": lease["id"], "fence": lease["fence"]}
    sent = {
        "lab A's crash": (
            LAB_A,
            "clearhold-json",
            _lab_a(crash, campaign["seed"]),
            ours,
        ),
        "lab B's SARIF": (
            LAB_B,
            "sarif",
            material.lab_b_report(),
            {"package": f"{PACKAGE}@{VULNERABLE}"},
        ),
        "the finder's report": (FINDER, "clearhold-json", material.finder_report(), {}),
        "the finder's second": (FINDER, "clearhold-json", material.pygments_report(), {}),
        FALSE: (FINDER, "clearhold-json", material.false_report(), {}),
    }
    scene.facts["findings"] = {}
    for name, (party, form, content, more) in sent.items():
        wish = {"format": form, "content": base64.b64encode(content).decode(), **more}
        receipt = scene.cast[party].post("/findings", wish, key=scene.key(name))
        (finding,) = receipt["findings"]
        scene.facts["findings"][name] = {"id": finding["finding"], "party": party}
        missing = ", ".join(finding["missing"]) or "nothing"
        scene.progress.tell(f"{name}: priority {receipt['received_at']}, missing: {missing}")


def standing(asked_by: HubClient, finding: str) -> dict[str, Any]:
    """How far a finding's validation is; there is none until the hub has taken the report up."""
    try:
        found: dict[str, Any] = asked_by.get(f"/validation/{finding}")
    except NotFoundError:
        return {"state": "taken in"}
    return found


def validation(scene: Scene) -> None:
    """Wait for the verdicts, and hold them against what the story knows to be true."""
    scene.facts["verdicts"] = {}
    for name, finding in scene.facts["findings"].items():
        lab = scene.cast[finding["party"]]
        done = scene.wait(
            lambda lab=lab, finding=finding: standing(lab, finding["id"]),  # type: ignore[misc]
            ended=lambda each: each["state"] == "decided",
            show=lambda each, name=name: f"{name}: {each['state']}",  # type: ignore[misc]
            seconds=_VALIDATION_SECONDS,
        )
        scene.facts["verdicts"][name] = done
        scene.progress.tell(f"{name}: {done['verdict']}, level {done['level']}")
        scene.progress.tell(f"  {done['summary']['reason']}")
        if done["verdict"].startswith("environment_failure"):
            scene.give_up(f"{name} could not be run here: {done['summary']['reason']}")
        # The machine's own failure is neither: it refuses nothing and shows nothing.
        right = (
            done["verdict"].startswith("not_reproduced")
            if name == FALSE
            else done["verdict"].startswith("reproduced") and done["level"] >= _GONE_WHEN_FIXED
        )
        expect(right, f"The verdict on {name} is {done['verdict']}: {done['summary']['reason']}")
        finding["evidence"] = lab.download(f"/api/v1/validation/{finding['id']}/evidence")


def deduplication(scene: Scene) -> None:
    """Show which reports are one vulnerability, and what each finder may see of it."""
    findings = scene.facts["findings"]
    first, second = findings["lab A's crash"], findings["lab B's SARIF"]
    other = findings["the finder's report"]
    standing = scene.wait(
        lambda: _standings(scene, first, second),
        ended=lambda each: (
            None not in each.values() and each["a"]["vulnerability"] == each["b"]["vulnerability"]
        ),
        show=lambda _each: "letting lab A's fix tell the reports apart",
        seconds=240,
    )
    scene.facts["standing"] = standing
    a, b = standing["a"], standing["b"]
    expect(a["independent_finders"] == 2, "The finders of one vulnerability are miscounted.")
    expect(a["first"] and not b["first"], "The earliest report lost its priority.")
    apart = scene.cast[FINDER].get(f"/findings/{other['id']}")["standing"]
    expect(
        apart["vulnerability"] != a["vulnerability"],
        "Two different bugs became one vulnerability.",
    )
    for viewer, foreign in ((LAB_A, second), (LAB_B, first), (LAB_A, other)):
        try:
            scene.cast[viewer].get(f"/findings/{foreign['id']}")
        except NotFoundError:
            continue
        expect(False, "A party could read another's finding.")
    queue = scene.cast[COORDINATOR].get("/findings/queue")
    scene.facts["queue"] = queue
    scene.progress.tell(
        f"labs A and B hold one vulnerability, {a['independent_finders']} independent finders; "
        "A's report came first"
    )
    scene.progress.tell("the finder's bug stays apart, although release 5.4.0 is free of both")
    scene.progress.tell("asking for another's finding is answered like one that does not exist")


def _standings(scene: Scene, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    # B is asked first: were A asked before the reports are joined and B after, A's count would be old.
    b = scene.cast[LAB_B].get(f"/findings/{second['id']}")["standing"]
    a = scene.cast[LAB_A].get(f"/findings/{first['id']}")["standing"]
    return {"a": a, "b": b}


def _lab_a(crash: bytes, seed: int) -> bytes:
    document = {
        "schema": "clearhold-finding/1",
        "package": f"{PACKAGE}@{VULNERABLE}",
        "title": "Stack buffer overflow while nested lists are indented",
        "description": (
            "ujson.dumps writes indentation without reserving room for it. Nested lists and a wide "
            "indent run past the end of the encoder's buffer on the stack. "
            f"Found by libFuzzer with seed {seed}. A candidate fix is enclosed."
        ),
        "weakness": "CWE-121",
        "target": "encode",
        "claim": {"kind": "crash"},
        "severity": "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:H",
        "proof": base64.b64encode(crash).decode(),
        "patch": material.real_fix().decode(),
    }
    return json.dumps(document).encode()
