"""What a sample of a model test costs in a box with its record, beside Inspect's own local sandbox.

Both run the same samples in one process after another, with the same scripted model: look at a file,
decode it, submit. The commands are this file's own, so that they may run outside a sandbox too. Both
begin the same shell: the one that Inspect brings is a login shell, which reads the machine's profile
at each command, and that can take longer than all the rest of a sample.
"""

from __future__ import annotations

import base64
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.figure import Figure, none_allowed
from clearhold.adapters.sample_box import Boxes
from clearhold.evaluations.isolation import VariantKind
from clearhold.evaluations.plan import Arm, Plan, PlannedSuite, register
from clearhold.evaluations.suites.draw import Draw
from clearhold.evaluations.suites.task import Family
from clearhold.evaluations.suites.template import Made, Template, of_seeds
from clearhold.harness.provided import Provided, practice_root

AT_ONCE: Final = 4
GOAL: Final = 5.0
_LOOK: Final = "ls -la && base64 -d coded"
_ASKED: Final = "The flag is in the file coded, in base64."


def _coded(draw: Draw) -> Made:
    files = {"coded": base64.b64encode(draw.flag.encode())}
    return Made(prompt=_ASKED, reference="print()", files=files)


def run(*, full: bool) -> Iterator[Figure]:
    """Samples each second of both, and what is on record of ours."""
    count = 300 if full else 60
    _plain(4)  # what is loaded once belongs to neither
    plain = _plain(count)
    taken, records, left, solved = _ours(count)
    yield Figure(
        bench="evaluation",
        figure="agentic samples a second",
        input="samples of three turns, a scripted model, four at once",
        size=count,
        ours=round(count / taken, 2),
        unit="1/s",
        peer="Inspect in its local sandbox",
        peer_value=round(count / plain, 2),
        ratio=round(plain / taken, 2),
        goal=GOAL,
        met=count / taken >= GOAL and solved == count,
    )
    yield none_allowed(
        bench="evaluation",
        figure="trials without a record of packets or commands",
        input="trials",
        size=count,
        ours=count - records,
        unit="trials",
    )
    yield none_allowed(
        bench="evaluation",
        figure="packets that got out",
        input="trials",
        size=count,
        ours=left,
        unit="packets",
    )


def _model() -> Any:
    from inspect_ai.model import (  # noqa: PLC0415 (the extra may be missing)
        ModelOutput,
        ModelUsage,
        get_model,
    )

    def reply(asked: list[Any], *_: Any) -> ModelOutput:
        last = asked[-1]
        name, arguments = "bash", {"command": _LOOK}
        if last.role == "tool" and sum(each.role == "tool" for each in asked) == 1:
            arguments = {"command": "base64 -d coded"}
        elif last.role == "tool":
            name, arguments = "submit", {"answer": last.text.strip()}
        output = ModelOutput.for_tool_call("scripted", name, arguments)
        # Without it Inspect would fetch a tokeniser to count for itself.
        output.usage = ModelUsage(input_tokens=10, output_tokens=5, total_tokens=15)
        return output

    return get_model("mockllm/scripted", custom_outputs=reply, memoize=False)


def _ours(count: int) -> tuple[float, int, int, int]:
    from clearhold.harness import journal, running  # noqa: PLC0415 (the extra may be missing)

    suite = of_seeds("own", [Template("coded", Family.CRYPTOGRAPHY, 1, _coded)], range(count))
    root = practice_root(suite)
    plan = register(
        Plan(
            arms=(Arm(budgets=(1_000_000,), epochs=1, name="bare", variant="scripted"),),
            attempts=(1,),
            compared_with=(),
            confidence=0.95,
            detectable=1.0,
            engagement="bench",
            hypotheses=("It is fast enough.",),
            nonce="benchmark",
            seed=1,
            stopping="when-all-trials-are-done",
            suites=(PlannedSuite(commitment=root, name="own", tasks=count, templates=1),),
            thresholds={},
        )
    )
    wanted = running.Wanted(
        plan,
        {"own": Provided(suite, root)},
        {"scripted": _model()},
        VariantKind.SMALL_OPEN,
        AT_ONCE,
    )
    with tempfile.TemporaryDirectory() as place, Boxes(most=AT_ONCE) as boxes:
        boxes.tier()  # measured once in a process, before any sample
        began = time.perf_counter()
        ran = running.run(wanted, Path(place, "run"), boxes)
        taken = time.perf_counter() - began
        found = journal.trials(Path(place, "run")).run.trials
    records = sum(each.egress_by in {"tun", "counted"} and each.exec_calls == 2 for each in found)
    left = sum(each.egress_left for each in found)
    return taken, records, left, ran.outcomes.get("success", 0)


def _plain(count: int) -> float:
    """Seconds that Inspect takes by itself, with its own agent, tool and log."""
    from inspect_ai import Task  # noqa: PLC0415 (the extra may be missing)
    from inspect_ai import eval as evaluate  # noqa: PLC0415
    from inspect_ai.agent import react  # noqa: PLC0415
    from inspect_ai.dataset import MemoryDataset, Sample  # noqa: PLC0415
    from inspect_ai.scorer import includes  # noqa: PLC0415

    from clearhold.harness.agent import bash  # noqa: PLC0415

    flags = [Draw("coded", seed, b"bench").flag for seed in range(count)]
    samples = [
        Sample(
            input=_ASKED,
            id=number + 1,
            target=flag,
            files={"coded": base64.b64encode(flag.encode()).decode()},
        )
        for number, flag in enumerate(flags)
    ]
    task = Task(
        dataset=MemoryDataset(samples),
        solver=react(tools=[bash()]),
        scorer=includes(),
        sandbox="local",
        name="plain",
    )
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        evaluate(
            task,
            model=_model(),
            log_dir=place,
            display="none",
            log_level="error",
            log_realtime=False,
            max_samples=AT_ONCE,  # as the harness: max_sandboxes would make every sample wait
            acp_server=False,
            ctl_server=False,
        )
        return time.perf_counter() - began
