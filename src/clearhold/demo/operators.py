"""Act 9: what three operators really run, and what each must do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from clearhold.demo.cast import write_whole
from clearhold.demo.house import command
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
from clearhold.kernel.errors import UnavailableError

PYTHON: Final = "/usr/bin/python3"
PROFILES: Final[dict[str, dict[str, str]]] = {
    HOSPITAL: {
        "exposure": "open",
        "publicly_exposed": "yes",
        "safety_impact": "critical",
        "mission_impact": "essential-failure",
    },
    WATER: {
        "exposure": "controlled",
        "publicly_exposed": "no",
        "safety_impact": "marginal",
        "mission_impact": "degraded",
    },
    BANK: {
        "exposure": "open",
        "publicly_exposed": "yes",
        "safety_impact": "negligible",
        "mission_impact": "support-crippled",
    },
}
SIDES: Final = {HOSPITAL: "vulnerable", WATER: "vulnerable", BANK: "fixed"}
_MATCHING_SECONDS: Final = 120


def inventories(scene: Scene) -> None:
    """Build three environments, take their inventories, and match them under embargo."""
    _draft(scene)
    for handle, side in SIDES.items():
        environment = built(scene, handle, side)
        enrolled(scene, handle)
        _register_key(scene, handle)
        document = scene.place.root / "inventories" / f"{handle}.json"
        if not document.exists():
            command(scene.place, "agent", "inventory", str(environment), "--output", str(document))
        taken = scene.cast[handle].upload(
            "/inventories",
            document.read_bytes(),
            media_type="application/json",
            key=scene.key(f"inventory-{handle}"),
            name="main-system",
            **PROFILES[handle],
        )
        scene.progress.tell(f"{handle}: packages listed: {taken['components']}; {_short(handle)}")
    advisory = scene.facts["advisory"]["id"]
    coordinator = scene.cast[COORDINATOR]
    coordinator.post(f"/remediation/advisories/{advisory}")
    counts = scene.wait(
        lambda: coordinator.get(f"/remediation/advisories/{advisory}"),
        ended=lambda each: each["actions"] >= len(SIDES) - 1,
        show=lambda each: f"{each['actions']} actions",
        seconds=_MATCHING_SECONDS,
    )
    expect(counts["actions"] == 2, "The number of affected operators is wrong.")
    current = coordinator.get(f"/advisories/{advisory}")
    for handle in SIDES:
        actions = scene.cast[handle].get("/remediation/actions")
        expect(len(actions) == (0 if handle == BANK else 1), f"{handle} has a wrong plan.")
        if not actions:
            scene.progress.tell(f"{handle}: not affected, and hears nothing")
            continue
        (action,) = actions
        told = action["details"] is not None
        expect(told == (current["state"] == "published"), "Details were told too early or late.")
        scene.progress.tell(f"{handle}: tier {action['tier']}, details at publication")


def _register_key(scene: Scene, handle: str) -> None:
    shown = scene.place.root / "agents" / f"{handle}-key.json"
    options = ("--state", str(agent_state(scene, handle)))
    command(scene.place, "agent", "key", scene.cast.ids[handle], str(shown), *options)
    scene.cast[handle].post("/parties/keys", json.loads(shown.read_bytes()))


def enrolled(scene: Scene, handle: str, *, repository: str = "", state: str = "") -> Any:
    """Enrol an operator's agent with the hub's repository, or another; returns what it printed."""
    root = scene.place.root / "root.json"
    if not root.exists():
        write_whole(root, scene.cast[handle].download("/tuf/metadata/1.root.json"))
    return command(
        scene.place,
        "agent",
        "enrol",
        repository or f"{scene.house.address}/tuf",
        "--operator",
        handle,
        "--root",
        str(root),
        "--state",
        str(agent_state(scene, state or handle)),
    )


def agent_state(scene: Scene, name: str) -> Path:
    """Where an operator's agent keeps its state."""
    return scene.place.root / "agents" / name


def environment_of(scene: Scene, handle: str) -> Path:
    """An operator's virtual environment."""
    return scene.place.root / "environments" / handle


def built(scene: Scene, handle: str, side: str) -> Path:
    """A real virtual environment with the package installed, built from its published source."""
    place = environment_of(scene, handle)
    ready = place / "ready"
    if ready.exists():
        return place
    scene.progress.moving(f"building {handle}'s environment")
    made = command(scene.place, "recipe", "wheel", "ujson", side, str(scene.place.root / "wheels"))
    _run([PYTHON, "-m", "venv", "--clear", "--without-pip", str(place)])
    install = ["install", "-q", "--no-index", "--no-deps", "--disable-pip-version-check"]
    interpreter = str(place / "bin" / "python")
    _run([sys.executable, "-m", "pip", "--python", interpreter, *install, made["wheel"]])
    ready.touch()
    return place


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnavailableError(
            f"`{' '.join(argv[:4])}` failed: {done.stderr.strip()[-300:]}",
            next_step="Mend what it says and run the demo again.",
        )


def _draft(scene: Scene) -> None:
    """Write the advisory, while the case is still under embargo."""
    facts = scene.facts
    wish = {
        "case": facts["case"]["id"],
        "title": "Stack buffer overflow in ujson while output is indented",
        "summary": "ujson writes indentation without reserving room for it.",
        "details": (
            "The encoder of ujson writes line breaks and indentation between the items of lists "
            "and objects without reserving room for them. A nested value and a wide indent run "
            "past the end of a buffer on the stack and end the process."
        ),
        "package": PACKAGE,
        "vendor": "ujson",
        "ecosystem": "PyPI",
        "ranges": [{"introduced": "0", "fixed": f"{VULNERABLE}+clearhold.1"}],
        "remediation": "Install the fixed package that comes with this advisory.",
        "weaknesses": ["CWE-121"],
        "cvss": ["CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:H"],
        "aliases": ["CVE-2021-45958"],
        "credits": [
            {
                "name": "Aurora AI Lab",
                "role": "finder",
                "consent": "stated in the case by the finder",
            }
        ],
        "facts": {
            "exploitation": "none",
            "exploitation_source": "no attack and no public proof is known to the case",
            "automatable": "yes",
            "automatable_source": "one request is enough wherever a caller chooses the indent",
            "technical_impact": "partial",
            "technical_impact_source": "the evidence shows that the process ends, no more",
        },
    }
    coordinator = scene.cast[COORDINATOR]
    facts["advisory"] = coordinator.post("/advisories", wish, key=scene.key("advisory"))
    preview = coordinator.get(f"/advisories/{facts['advisory']['id']}/preview")
    documents = ", ".join(sorted(preview["documents"]))
    scene.progress.tell(f"advisory {facts['advisory']['public_id']} drafted: {documents}")
    for obstacle in preview["obstacles"]:
        scene.progress.tell(f"  still to do: {obstacle}")


def _short(handle: str) -> str:
    return ", ".join(f"{name} {value}" for name, value in PROFILES[handle].items())
