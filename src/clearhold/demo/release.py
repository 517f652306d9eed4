"""Acts 10 and 11: publication at the agreed instant, and the operators' agents at work."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from clearhold.demo.casework import release_date
from clearhold.demo.cast import write_whole
from clearhold.demo.house import CommandFailedError, command
from clearhold.demo.operators import SIDES, agent_state, built, enrolled, environment_of
from clearhold.demo.scene import (
    BANK,
    COORDINATOR,
    HOSPITAL,
    PACKAGE,
    VULNERABLE,
    WATER,
    Scene,
    expect,
)
from clearhold.kernel.errors import IntegrityError

KINDS: Final = {"csaf", "cve", "openvex", "osv"}
_SOON: Final = timedelta(seconds=6)
_PUBLISHING_SECONDS: Final = 120


def publication(scene: Scene) -> None:
    """Wait for the instant, then read what the public reads and hold the documents together."""
    coordinator = scene.cast[COORDINATOR]
    advisory = scene.facts["advisory"]
    instant = release_date(scene, _SOON)
    scene.progress.tell(f"with the fix proved, all parties sign an earlier instant: {instant}")
    current = coordinator.get(f"/advisories/{advisory['id']}")
    if current["state"] == "draft" and scene.facts["case"]["embargo_state"] == "exited":
        reason = {"reason": "the agreed instant passed while the hub was down"}
        coordinator.post(f"/advisories/{advisory['id']}/publication", reason)
    elif current["state"] == "draft":
        coordinator.post(f"/advisories/{advisory['id']}/schedule")
    public = scene.house.connect()
    early = public.download("/.well-known/csaf/index.txt").decode().split()
    if datetime.now(UTC) < instant:
        expect(not early, "Something was published before the instant.")
    current = scene.wait(
        lambda: coordinator.get(f"/advisories/{advisory['id']}"),
        ended=lambda each: each["state"] == "published",
        show=lambda _each: f"{max((instant - datetime.now(UTC)).total_seconds(), 0):.0f} s to go",
        seconds=_PUBLISHING_SECONDS,
    )
    expect(
        datetime.fromisoformat(current["published_at"]) >= instant, "It was published too early."
    )
    scene.facts["advisory"] = current
    documents = _documents(scene, current["public_id"])
    expect(documents.keys() == KINDS, f"Published was only: {', '.join(documents)}.")
    scene.facts["documents"] = {name: len(content) for name, content in documents.items()}
    fixed = f"{VULNERABLE}+clearhold.1"
    asked = [word for each in (VULNERABLE, fixed) for word in ("--version", each)]
    for name, content in documents.items():
        path = scene.place.root / "documents" / f"{name}.json"
        write_whole(path, content)
        words = ("advisory", "check", name, str(path), "--package", PACKAGE, *asked)
        checked = command(scene.place, *words)
        expect(
            checked["verdicts"] == {VULNERABLE: "affected", fixed: "not_affected"},
            f"The {name} document says something else: {checked['verdicts']}.",
        )
        scene.progress.tell(f"{name}: {len(content)} bytes, valid by its schema")
    scene.progress.tell(f"all say: {VULNERABLE} is affected, {fixed} is not")
    public.close()


def upgrades(scene: Scene) -> None:
    """Let the affected operators' agents fix what they run, and an altered repository be refused."""
    advisory = scene.facts["advisory"]["public_id"]
    scene.facts["receipts"] = {}
    for handle in (HOSPITAL, WATER):
        scene.facts["receipts"][handle] = _upgrade(scene, handle, advisory)
    _agent(scene, BANK, "sync")
    bank = _agent(scene, BANK, "plan", str(environment_of(scene, BANK)))
    expect(not bank["matches"], "The bank's agent found something.")
    scene.progress.tell(f"{BANK}: its own agent finds nothing to do")
    scene.facts["plans"] = {
        handle: scene.cast[handle].get("/remediation/actions") for handle in SIDES
    }
    scene.facts["tampering"] = [_tampered(scene, how) for how in ("wheel", "metadata")]
    for refusal in scene.facts["tampering"]:
        scene.progress.tell(f"an altered repository ({refusal['altered']}) is refused:")
        scene.progress.tell(f"  {refusal['message']}")


def _upgrade(scene: Scene, handle: str, advisory: str) -> dict[str, Any]:
    environment = environment_of(scene, handle)
    (action,) = scene.cast[handle].get("/remediation/actions")
    details = action["details"]
    expect(details is not None, f"{handle} is not told what to do.")
    decided = {each["name"]: each["value"] for each in details["directive"]["inputs"]}
    scene.progress.tell(
        f"{handle}: {details['directive']['outcome_name']} (BOD 26-04: {_inputs(decided)})"
    )
    ranked = {each["name"]: each["value"] for each in details["deployer"]["inputs"]}
    scene.progress.tell(f"  SSVC {details['deployer']['outcome_name']} ({_inputs(ranked)})")
    if action["state"] != "verified_fixed":
        _agent(scene, handle, "status")  # finishes an upgrade that a crash cut off
        _agent(scene, handle, "sync", "--environment", str(environment))
        if _agent(scene, handle, "plan", str(environment))["matches"]:
            applied = _agent(scene, handle, "apply", str(environment), advisory, "--yes")
            scene.progress.tell(f"  {applied['state']}: {applied['reason']}")
            scene.progress.tell(
                f"  proof of concept before: {applied['proof_before']}, "
                f"after: {applied['proof_after']}"
            )
        for receipt in _agent(scene, handle, "receipt")["receipts"]:
            scene.cast[handle].upload(
                "/remediation/receipts",
                json.dumps(receipt["envelope"]).encode(),
                media_type="application/json",
                key=scene.key(f"receipt-{handle}-{receipt['counter']}"),
                action=action["id"],
            )
        action = scene.cast[handle].get(f"/remediation/actions/{action['id']}")
    expect(action["state"] == "verified_fixed", f"{handle} is {action['state']}.")
    receipts = _agent(scene, handle, "receipt")["receipts"]
    scene.progress.tell(f"  {len(receipts)} signed receipts, the hub notes: {action['state']}")
    return {"action": action, "receipts": receipts}


def _tampered(scene: Scene, how: str) -> dict[str, str]:
    """Copy the published repository, alter it, and let a fresh agent look at it."""
    copy = scene.place.root / "tampered" / how
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(scene.place.settings.repository_directory, copy)
    state = agent_state(scene, f"tampered-{how}")
    shutil.rmtree(state, ignore_errors=True)
    enrolled(scene, BANK, repository=str(copy), state=f"tampered-{how}")
    if how == "metadata":
        victims = (copy / "metadata").glob("*.targets.json")
        victim = max(victims, key=lambda path: int(path.name.split(".")[0]))
        altered = json.loads(victim.read_bytes())
        next(iter(altered["signed"]["targets"].values()))["length"] += 1
        victim.write_text(json.dumps(altered))
    else:
        victim = next((copy / "targets").rglob("*.whl"))
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(bytes(content))
    environment = _vulnerable_copy(scene)
    try:
        command(
            scene.place,
            "agent",
            "sync",
            "--environment",
            str(environment),
            "--state",
            str(state),
        )
        command(
            scene.place,
            "agent",
            "apply",
            str(environment),
            scene.facts["advisory"]["public_id"],
            "--yes",
            "--state",
            str(state),
        )
    except CommandFailedError as refusal:
        report = _report(refusal.output)
        # Any other failure would say nothing of signatures.
        expect(report.get("error") == IntegrityError.code, f"Refused for a wrong reason: {report}.")
        return {"altered": how, "message": str(report["message"])}
    expect(False, f"An agent accepted a repository with altered {how}.")
    return {}


def _vulnerable_copy(scene: Scene) -> Path:
    """An environment that still holds the vulnerable package, for the altered repository."""
    return built(scene, "spare", "vulnerable")


def _agent(scene: Scene, handle: str, *words: str) -> Any:
    return command(scene.place, "agent", *words, "--state", str(agent_state(scene, handle)))


def _documents(scene: Scene, public_id: str) -> dict[str, bytes]:
    """Every document of an advisory, from the public TUF repository."""
    public = scene.house.connect()

    def read(path: str) -> Any:
        return json.loads(public.download(f"/tuf/metadata/{path}"))["signed"]

    snapshot = read("timestamp.json")["meta"]["snapshot.json"]["version"]
    newest = read(f"{snapshot}.snapshot.json")["meta"]["targets.json"]["version"]
    found = {}
    for path, target in read(f"{newest}.targets.json")["targets"].items():
        directory, _, name = path.rpartition("/")
        if directory == f"advisories/{public_id}":
            hashed = f"{directory}/{target['hashes']['sha256']}.{name}"
            found[name.removesuffix(".json")] = public.download(f"/tuf/targets/{hashed}")
    public.close()
    return found


def _inputs(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _report(output: str) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(output)
    except json.JSONDecodeError:
        return {"message": output.strip()[-200:]}
    return report
