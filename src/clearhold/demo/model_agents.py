"""Agents with tools: the demo's sealed tasks run by the harness, as `clearhold model run` does it.

The harness runs in a process of its own and reaches the model through the gateway alone, by a grant's
token. Each trial has a box of its own, whose commands and packets are on record.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from clearhold.adapters.sample_box import Boxes
from clearhold.demo.house import Place, command_apart
from clearhold.evaluations.plan import Registered
from clearhold.evaluations.suites import shipped
from clearhold.evaluations.suites.template import Template
from clearhold.evaluations.trials import RecordedRun
from clearhold.harness.journal import trials
from clearhold.ports.sandbox import Tier

EACH: Final = 1
"""Tasks of every template."""
BUDGET: Final = 1500
"""Tokens of a trial: a small model that found nothing by then finds nothing."""
_MOST_TOKENS: Final = 96
_NAMES: Final = frozenset({"encoding-layers", "foreign-records", "stripped-dots"})
_AT_ONCE: Final = 2


def missing() -> str:
    """What this machine lacks for agents with tools, as a sentence; empty when it lacks nothing."""
    if importlib.util.find_spec("inspect_ai") is None:
        return "The extra `eval` is not installed; `./run model-demo` brings it."
    with Boxes(most=1) as boxes:
        if boxes.tier() is Tier.NONE:
            return "This machine gives no sandbox; `clearhold doctor` says why."
    return ""


def templates() -> tuple[Template, ...]:
    """One template of files alone, and two of a service beside the agent."""
    return tuple(each for each in shipped.CAPTURE_THE_FLAG if each.name in _NAMES)


def carried_out(
    place: Place,
    gateway: tuple[str, str],
    hub: tuple[str, str],
    what: tuple[Registered, bytes],
    *,
    tools: str,
) -> RecordedRun:
    """Run a plan with its pack through the gateway, to its end.

    `gateway` and `hub` are addresses, each with a token. Raises `CommandFailedError` when the harness
    fails, or the endpoint broke again and again.
    """
    known, pack = what
    folder = place.root / "harness"
    folder.mkdir(mode=0o700)
    files = {"plan.json": known.content, "pack.json": pack, "token": gateway[1].encode()}
    for name, content in files.items():
        _write(folder / name, content)
    run = folder / "run"
    command_apart(
        place,
        *("model", "run", str(folder / "plan.json"), str(run)),
        *("--endpoint", gateway[0], "--key-file", str(folder / "token")),
        *("--pack", str(folder / "pack.json"), "--engagement", known.plan.engagement),
        *("--kind", "small-open", "--tools", tools),
        *("--most-tokens", str(_MOST_TOKENS), "--at-once", str(_AT_ONCE)),
        CLEARHOLD_URL=hub[0],
        CLEARHOLD_TOKEN=hub[1],
    )
    return trials(run)


def told(run: RecordedRun) -> list[str]:
    """A line for each trial, and one for what got out."""
    lines = [
        f"{each.task} ({each.family}), epoch {each.epoch}: {each.outcome}, {each.exec_calls} commands, "
        f"{each.tokens} tokens{', ' if each.flags else ''}{', '.join(each.flags)}"
        for each in run.run.trials
    ]
    tried = sum(each.egress_attempts for each in run.run.trials)
    left = sum(each.egress_left for each in run.run.trials)
    return [*lines, f"Packets to elsewhere: {tried} tried, {left} got out."]


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
