"""One finding handed to the clearinghouse out of a test, up to its case.

It is an exercise: the bug is prepared, public since 2022, and no model of the demo found it. What is
done with it is what is done with a finding that a tested model did find.
"""

from __future__ import annotations

import base64
import secrets
import time
from typing import Any, Final

from clearhold.demo import material
from clearhold.demo.model_scene import LAB, TESTERS, Scene
from clearhold.demo.reports import standing
from clearhold.demo.scene import COORDINATOR, expect
from clearhold.evaluations.trials import RecordedRun
from clearhold.kernel.errors import DeniedError, NotFoundError, UnavailableError

_PATIENCE_S: Final = 420.0
_TASK: Final = "exercise, no task"


def hand_over(scene: Scene, engagement: str, run: RecordedRun) -> str:
    """The evaluator hands the prepared finding over; its number."""
    told = scene.post(
        TESTERS,
        engagement,
        "findings",
        finding=base64.b64encode(material.finder_report()).decode(),
        trials_sha256=run.sha256,
        task=_TASK,
    )
    expect(told["outcome"] == "finding", "What was handed over is no finding.")
    taken = scene.cast[LAB].get(f"/findings/submissions/{told['submission']}")
    (finding,) = taken["findings"]
    return str(finding["finding"])


def validated(scene: Scene, finding: str) -> dict[str, Any]:
    """Its verdict, once there is one; the evaluator is told nothing of it."""
    until = time.monotonic() + _PATIENCE_S
    while (found := standing(scene.cast[LAB], finding))["state"] != "decided":
        if time.monotonic() > until:
            raise UnavailableError("The finding that was handed over was not validated in time.")
        time.sleep(0.3)
    try:
        scene.cast[TESTERS].get(f"/findings/{finding}")
    except (DeniedError, NotFoundError):
        return dict(found)
    expect(False, "The evaluator could read what was handed over.")
    raise AssertionError


def opened(scene: Scene, finding: str) -> str:
    """The case that the coordinator opens for it."""
    wish = {"vulnerability": finding, "title": "ujson: a lone surrogate is decoded into other text"}
    return str(scene.cast[COORDINATOR].post("/cases", wish, key=secrets.token_hex(16))["id"])
