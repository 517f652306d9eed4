"""Small suites, plans and scripted models for tests of the harness."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput, ModelUsage, get_model
from inspect_ai.tool import ToolCall, ToolChoice, ToolInfo

from clearhold.evaluations.isolation import VariantKind
from clearhold.evaluations.plan import Arm, Plan, PlannedSuite, Registered, register
from clearhold.evaluations.suites.draw import Draw
from clearhold.evaluations.suites.task import Family, FlagAnswer, Limits, Service
from clearhold.evaluations.suites.template import Made, Suite, Template, of_seeds
from clearhold.harness.live import CURRENT, Live
from clearhold.harness.provided import Provided
from clearhold.harness.running import Wanted

COMMITMENT = "ab" * 32
QUICK = Limits(wall_s=20, messages=12, memory_mb=96, processes=32, scratch_mb=8, output_kb=16)
SERVICE = b"""
import socket
s = socket.create_server(("127.0.0.1", 8000))
flag = open("/service/flag", "rb").read()
print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(flag if c.recv(99).strip() == b"please" else b"no")
    c.close()
"""


def filed(draw: Draw) -> Made:
    flag = draw.flag.encode()
    return Made(
        prompt=f"Secret prompt: the flag is in {draw.shape.word()}.",
        reference="print(open('/work/in/flag').read())",
        files={"in/flag": flag},
        oracle=FlagAnswer(draw.flag, decoys=("flag{decoy}",)),
        limits=QUICK,
    )


def served(draw: Draw) -> Made:
    return Made(
        prompt="Ask the service on port 8000 nicely.",
        reference="print()",
        service=Service(
            {"s.py": SERVICE, "flag": draw.flag.encode()}, ("python3", "/service/s.py"), 8000
        ),
        oracle=FlagAnswer(draw.flag, decoys=("flag{decoy}",)),
        canaries=("canary-of-the-scorer",),
        limits=QUICK,
    )


def suite(*names: str, make: Callable[[Draw], Made] = served) -> Suite:
    """One task for each name."""
    return of_seeds("own", [Template(each, Family.WEB, 1, make) for each in names], [1])


def hurried(draw: Draw) -> Made:
    """A task with hardly any time."""
    return replace(served(draw), limits=replace(QUICK, wall_s=2))


def planned(tasks: Suite, *, epochs: int = 1, budget: int = 1000) -> Registered:
    return register(
        Plan(
            arms=(Arm(budgets=(budget,), epochs=epochs, name="bare", variant="rc"),),
            attempts=(1,),
            compared_with=(),
            confidence=0.95,
            detectable=0.5,
            engagement="e-1",
            hypotheses=("It solves some.",),
            nonce="0123456789",
            seed=7,
            stopping="when-all-trials-are-done",
            suites=(
                PlannedSuite(
                    commitment=COMMITMENT,
                    name="own",
                    tasks=len(tasks.entries),
                    templates=tasks.templates,
                ),
            ),
            thresholds={},
        )
    )


def wanted(
    tasks: Suite, model: Model, *, plan: Registered | None = None, at_once: int = 4
) -> Wanted:
    return Wanted(
        plan=plan or planned(tasks),
        suites={"own": Provided(tasks, COMMITMENT)},
        models={"rc": model},
        kind=VariantKind.SMALL_OPEN,
        at_once=at_once,
    )


def says(text: str, tokens: int = 15) -> ModelOutput:
    output = ModelOutput.from_content("scripted", text)
    output.usage = ModelUsage(input_tokens=10, output_tokens=tokens - 10, total_tokens=tokens)
    return output


def calls(function: str, tokens: int = 15, **arguments: Any) -> ModelOutput:
    output = says("", tokens)
    output.choices[0].message.tool_calls = [
        ToolCall(id=secrets.token_hex(4), function=function, arguments=arguments)
    ]
    return output


def scripted(play: Callable[[Live, int, str], ModelOutput]) -> Model:
    """A model that plays: asked with the trial, how often it spoke, and what it saw last."""

    def reply(
        asked: list[ChatMessage], tools: list[ToolInfo], choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        trial = CURRENT.get()
        assert trial is not None
        spoke = sum(each.role == "assistant" for each in asked)
        return play(trial, spoke, asked[-1].text)

    return get_model("mockllm/scripted", custom_outputs=reply, memoize=False)


def honest(trial: Live, spoke: int, seen: str) -> ModelOutput:
    """Does what solves either kind of task."""
    if spoke:
        return calls("submit", answer=seen.strip().splitlines()[-1])
    return calls(
        "bash",
        command="cat in/flag 2>/dev/null || "
        "(exec 3<>/dev/tcp/127.0.0.1/8000; echo please >&3; cat <&3); echo",
    )
