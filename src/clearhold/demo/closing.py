"""Act 12: the ledger is verified, and the report is written."""

from __future__ import annotations

import base64
import json
from collections import Counter
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from clearhold.demo.cast import CAST, write_whole
from clearhold.demo.house import command
from clearhold.demo.scene import COORDINATOR, HOSPITAL, Scene, expect
from clearhold.kernel.errors import ConflictError


def ledger(scene: Scene) -> None:
    """Recompute the whole ledger, and gather who saw what from those who may see it."""
    coordinator = scene.cast[COORDINATOR]
    chain = coordinator.get("/ledger/verification")
    scene.facts["chain"] = chain
    expect(chain["intact"], f"The ledger does not verify: {chain['faults'][:3]}")
    scene.progress.tell(f"{chain['leaves']} leaves, intact, head {chain['head'][:16]}…")
    _from_outside(scene)
    names = {COORDINATOR: "The hub's coordinator"} | {handle: name for handle, name, _, _ in CAST}
    principals = {
        scene.cast[handle].get("/parties/self")["principal"]: name for handle, name in names.items()
    }
    leaves: dict[int, dict[str, Any]] = {}
    for handle in names:
        after = 0
        while page := scene.cast[handle].get("/ledger/leaves", after=after, limit=1000):
            leaves |= {leaf["seq"]: leaf for leaf in page}
            after = page[-1]["seq"]
    scene.facts["timeline"] = [
        {**leaf, "who": principals.get(leaf["actor"], leaf["actor"])}
        for _, leaf in sorted(leaves.items())
    ]
    releases = [leaf for leaf in scene.facts["timeline"] if leaf["action"].endswith(":release")]
    seen = Counter((leaf["who"], leaf["detail"].get("table", "")) for leaf in releases)
    scene.facts["seen"] = sorted((who, what, count) for (who, what), count in seen.items())
    readers = len({leaf["who"] for leaf in releases})
    scene.progress.tell(f"{len(releases)} releases of plaintext to {readers} readers, all recorded")


def _from_outside(scene: Scene) -> None:
    """Verify the public log as a stranger would, and a leaf in it: with its files and its key."""
    coordinator = scene.cast[COORDINATOR]
    seen = coordinator.get("/ledger/leaves", after=0, limit=1000)
    last = seen[-1]["seq"]

    def proof() -> dict[str, Any]:
        try:
            found: dict[str, Any] = coordinator.get(f"/ledger/leaves/{last}/proof")
        except ConflictError:  # the log has not come to the next of its instants
            return {}
        return found

    document = scene.wait(
        proof, ended=bool, show=lambda _: "waiting for the log's next instant", seconds=60
    )
    key = command(scene.place, "ledger", "key")["key"]
    log = ("--log", f"{scene.house.address}/log", "--key", key)
    outside = command(scene.place, "ledger", "verify", *log)
    expect(outside["intact"], f"The public log does not verify: {outside['faults'][:3]}")
    scene.facts["log"] = outside
    scene.progress.tell(
        f"public log: {outside['size']} entries with padding, verified from its tiles alone"
    )
    file = scene.place.root / "proof.json"
    write_whole(file, json.dumps(document).encode())
    checked = command(scene.place, "ledger", "check", str(file), "--key", key)
    expect(checked["verified"], "The proof of a leaf does not verify.")
    scene.progress.tell(
        f"leaf {last} is proved to be its entry {checked['index']}, without the hub"
    )


def report(scene: Scene, directory: Path) -> Path:
    """Write the report of the story and return where its page is."""
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    source = (resources.files("clearhold.demo") / "report.html.j2").read_text(encoding="utf-8")
    facts = scene.facts
    evidence = directory / "evidence"
    for name, finding in facts["findings"].items():
        slug = "".join(char if char.isalnum() else "-" for char in name)
        write_whole(evidence / f"{slug}.dsse.json", finding["evidence"])
        finding["file"] = f"evidence/{slug}.dsse.json"
    page = template.from_string(source).render(
        facts=facts,
        made_at=datetime.now(UTC),
        crash=base64.b64encode(facts["crash"]).decode(),
        seconds=scene.progress.seconds,
    )
    for handle, done in facts["receipts"].items():
        content = json.dumps([each["envelope"] for each in done["receipts"]], indent=2)
        write_whole(directory / "receipts" / f"{handle}.json", content.encode())
    path = directory / "index.html"
    write_whole(path, page.encode())
    return path


def table(scene: Scene) -> list[str]:
    """The story in a short table."""
    facts = scene.facts
    confirmed = sum(each["verdict"].startswith("reproduced") for each in facts["verdicts"].values())
    before_after = facts["receipts"][HOSPITAL]["receipts"][-1]
    rows = (
        ("reports in", str(len(facts["findings"]))),
        ("reproduced", f"{confirmed}, refused {len(facts['findings']) - confirmed}"),
        ("vulnerabilities", str(len(facts["queue"]))),
        ("fixes tried", ", ".join(each["state"] for each in facts["patches"].values())),
        ("published", ", ".join(sorted(facts["documents"]))),
        ("operators fixed", f"{len(facts['receipts'])}, last receipt {before_after['state']}"),
        ("ledger", f"{facts['chain']['leaves']} leaves, intact"),
    )
    return [f"{name:<16} {value}" for name, value in rows]
