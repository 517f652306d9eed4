"""Acts 1 to 3: who takes part, who may scan what, and a real fuzzer at work."""

from __future__ import annotations

import base64

from clearhold.demo.scene import COORDINATOR, LAB_A, LAB_B, PACKAGE, VULNERABLE, Scene, expect
from clearhold.kernel.errors import ConflictError

FUZZ_SECONDS = 60


def parties(scene: Scene) -> None:
    """Register the parties."""
    everyone = scene.cast.register(scene.place)
    scene.facts["parties"] = everyone
    for party in everyone:
        sector = f", {party['sector']}" if party["sector"] else ""
        agreed = scene.cast.agreed.get(party["handle"])
        accepts = f", accepts the agreement {agreed}" if agreed else ""
        scene.progress.tell(f"{party['name']} ({party['kind']}{sector}){accepts}")


def leases(scene: Scene) -> None:
    """Let lab A lease a scope, and answer lab B's overlapping claim with what is free."""
    coordinator = scene.cast[COORDINATOR]
    coordinator.post(
        "/catalogue/targets",
        {
            "package": PACKAGE,
            "versions": [VULNERABLE],
            "techniques": ["fuzzing", "model-review"],
            "paths": ["lib/ultrajsonenc.c", "lib/ultrajsondec.c"],
        },
    )
    coordinator.post(
        "/catalogue/targets",
        {"package": "pkg:pypi/pygments", "versions": ["2.7.3"], "techniques": ["dynamic"]},
    )
    wish = {
        "package": PACKAGE,
        "versions": {"exact": VULNERABLE},
        "paths": ["lib/ultrajsonenc.c", "python/**"],
        "technique": "fuzzing",
        "mode": "exclusive",
        "window_hours": 4,
        "budget_s": FUZZ_SECONDS * 2,
    }
    lease = scene.cast[LAB_A].post("/scanning/leases", wish, key=scene.key("lease-a"))
    scene.facts["lease"] = lease
    scene.progress.tell(
        f"Aurora leases fuzzing of the encoder of ujson {VULNERABLE}, fence {lease['fence']}"
    )
    try:
        scene.cast[LAB_B].post(
            "/scanning/leases", {**wish, "paths": ["lib/**"]}, key=scene.key("lease-b")
        )
    except ConflictError as conflict:
        scene.facts["conflict"] = {"message": conflict.message, **conflict.facts}
    else:
        expect(False, "An overlapping exclusive claim was granted.")
    refusal = scene.facts["conflict"]
    text = str(refusal)
    expect(bool(refusal.get("free")), "A refusal did not say what is free instead.")
    expect("aurora" not in text.lower(), "A refusal named the holder.")
    scene.progress.tell(f"Borealis asks for lib/**: {refusal['message']}")
    for free in list(refusal.get("free", []))[:3]:
        scene.progress.tell(f"  free instead: {_scope(free)}")


def discovery(scene: Scene) -> None:
    """Fuzz under the lease until something crashes."""
    lab, lease = scene.cast[LAB_A], scene.facts["lease"]
    wish = {
        "lease": lease["id"],
        "fence": lease["fence"],
        "package": f"{PACKAGE}@{VULNERABLE}",
        "target": "encode",
        "budget_s": FUZZ_SECONDS,
    }
    begun = lab.post("/discovery/campaigns", wish, key=scene.key("campaign"))
    campaign = scene.wait(
        lambda: lab.get(f"/discovery/campaigns/{begun['id']}"),
        ended=lambda each: each["state"] not in {"queued", "running"},
        show=lambda each: (
            f"seed {each['seed']}: {each['executions']} executions, {each['edges']} edges"
        ),
        seconds=FUZZ_SECONDS + 240,
    )
    scene.facts["campaign"] = campaign
    if campaign["state"] == "failed":
        scene.give_up(f"The search could not run: {campaign['note']}")
    expect(campaign["state"] == "found", f"The fuzzer ended without a crash: {campaign['note']}")
    met = lab.get(f"/discovery/campaigns/{begun['id']}/crashes/{campaign['crash']}")
    crash = base64.b64decode(met["content"])
    scene.facts["crash"] = crash
    scene.progress.tell(f"libFuzzer, seed {campaign['seed']} from the clock")
    scene.progress.tell(
        f"a crash of {len(crash)} bytes after {campaign['executions']} executions, "
        f"{campaign['edges']} edges covered"
    )


def _scope(free: object) -> str:
    if not isinstance(free, dict):
        return str(free)
    versions = free.get("versions") or {}
    version = versions.get("exact", "") if isinstance(versions, dict) else versions
    paths = ", ".join(free.get("paths") or []) or "every path"
    return f"{free.get('package')} {version} {free.get('technique')} of {paths}"
