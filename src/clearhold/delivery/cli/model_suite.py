"""`clearhold model suite`: tasks for testing models, the proof that they can be solved, and sealed packs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from clearhold.adapters.sandbox_strongest import StrongestSandbox
from clearhold.delivery.cli.model_pairs import opened_among
from clearhold.delivery.cli.output import EXIT_REFUSED, JsonOption, show, told
from clearhold.delivery.cli.sealed import encrypt, new_file, read_file, read_sealed
from clearhold.evaluations.suites import packs, shipped
from clearhold.evaluations.suites.draw import TRIAL_BYTES
from clearhold.evaluations.suites.packs import Opened, Published
from clearhold.evaluations.suites.reference_agents import Shown, shown
from clearhold.evaluations.suites.solving import CannotRunError
from clearhold.evaluations.suites.task import Checker, Task, no_checks
from clearhold.evaluations.suites.template import Suite
from clearhold.kernel.errors import InvalidError
from clearhold.settings import from_environment
from clearhold.wire import json_bounds

app = typer.Typer(help="Tasks for testing models, and sealed packs of them.", no_args_is_help=True)

_PACK: Final = typer.Option(help="A sealed pack's file, instead of a shipped suite.")
IDENTITY: Final = typer.Option(help="The age identity that opens encrypted packs.")
_NAME: Final = typer.Argument(
    help="The name of a shipped suite, or `pairs`, which is made of what can be fetched."
)
_Row = dict[str, object]


@app.command("list")
@told
def listing(name: Annotated[str, _NAME] = "", *, as_json: bool = JsonOption) -> None:
    """List the shipped suites, or the templates of one."""
    if not name:
        show([_summary(shipped.suite(each)) for each in shipped.names()], as_json=as_json)
        return
    with opened_among([name]) as here:
        found = here.suite.of_templates() if here else shipped.templates(name)
    show(
        [
            {
                "template": each.name,
                "family": str(each.family),
                "version": each.version,
                "difficulty": each.difficulty,
                "needs": sorted(each.needs),
            }
            for each in found
        ],
        as_json=as_json,
    )


@app.command("check")
@told
def check(
    name: Annotated[str, _NAME] = "ctf",
    template: Annotated[str, typer.Option(help="Check the tasks of this template alone.")] = "",
    pack: Annotated[Path | None, _PACK] = None,
    identity: Annotated[Path | None, IDENTITY] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Run each task's own solution, a solver that does nothing and scripted agents in the sandbox.

    Ends with 1 unless every solution solves its task and doing nothing solves none. What the sandbox
    lacks for a task is told, and the task counted as skipped.
    """
    with opened_among([name] if pack is None else []) as here:
        if here is not None:
            _check(here.suite, template, here.checker(), here.left_out, as_json=as_json)
            return
    chosen = shipped.suite(name) if pack is None else _of(pack, identity)[1]
    _check(chosen, template, no_checks, (), as_json=as_json)


def _check(
    chosen: Suite, template: str, checker: Checker, left_out: tuple[str, ...], *, as_json: bool
) -> None:
    trial = os.urandom(TRIAL_BYTES)
    tasks = [each for each in chosen.tasks(trial) if template in {"", each.template}]
    if not tasks:
        raise InvalidError(f"The suite {chosen.name} has no template {template}.")
    settings = from_environment()
    forbidden = (settings.data_directory, settings.key_directory)
    workers = os.cpu_count() or 1
    with (
        StrongestSandbox(forbidden=forbidden, slots=workers) as sandbox,
        ThreadPoolExecutor(workers) as pool,
    ):
        found = list(
            _told(pool.map(lambda each: _shown(sandbox, each, checker), tasks), len(tasks))
        )
    done = [each for each in found if isinstance(each, Shown)]
    unsound = [each.task for each in done if not each.sound]
    apart = [each for each in found if isinstance(each, CannotRunError)]
    broken = [str(each) for each in apart if not each.missing]
    show(
        {
            "suite": chosen.name,
            "tier": sandbox.tier().name.lower(),
            "tasks": len(tasks),
            "templates": len({each.template for each in tasks}),
            "solved by their reference": sum(each.reference for each in done),
            "solved by doing nothing": sum(each.empty for each in done),
            "solved by the reader, or decliner": sum(each.reader for each in done),
            "solved by the prober, or helper": sum(each.prober for each in done),
            "discriminate": sum(each.discriminates for each in done),
            "unsound": unsound,
            "could not be run": broken,
            "skipped": [str(each) for each in apart if each.missing],
            **({"left out": list(left_out)} if left_out else {}),
            "by template": _by_template(done),
        },
        as_json=as_json,
    )
    if unsound or broken or not done:
        raise typer.Exit(EXIT_REFUSED)


@app.command("seal")
@told
def seal(
    name: str,
    pack: Path,
    commitment: Path,
    suite: Annotated[str, typer.Option(help="Whose templates the tasks are of.")] = "ctf",
    each: Annotated[int, typer.Option(min=1, max=1000, help="Tasks of every template.")] = 4,
    recipient: Annotated[
        list[str] | None,
        typer.Option(help="Encrypt the pack to this age recipient; may be repeated."),
    ] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Draw private tasks into the new file PACK, and write what is published into COMMITMENT.

    Publish the commitment before access opens, and keep the pack where no model and no developer
    reads it: whoever can read it has every task. Encrypted, it opens in the memory of `run` alone.
    """
    made = packs.make(name, shipped.templates(suite), each)
    found = packs.published(made, packs.suite_of(made, shipped.every_template()))
    content = packs.encode(made)
    new_file(pack, encrypt(content, recipient) if recipient else content)
    new_file(commitment, packs.encode(found))
    show(
        {
            "pack": str(pack),
            "encrypted": bool(recipient),
            "published": str(commitment),
            "root": found.root,
            "tasks": found.tasks,
        },
        as_json=as_json,
    )


@app.command("unseal")
@told
def unseal(
    pack: Path,
    task: str,
    log: Path,
    by: Annotated[str, typer.Option(help="Who opens it.")],
    second: Annotated[str, typer.Option(help="Who agrees that it is opened.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    identity: Annotated[Path | None, IDENTITY] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Open one task of a pack and print what proves it; the unsealing is written to LOG first.

    The log chains its lines by hashes. That two people agreed is what they say: neither signs.
    """
    content, suite = _of(pack, identity)
    opened = packs.open_task(content, suite, task)
    lines = packs.read_log(read_file(log, packs.LARGEST)) if log.exists() else ()
    line = packs.unsealing(lines, opened, by=by, second=second, reason=reason, at=datetime.now(UTC))
    with log.open("ab") as out:
        out.write(packs.encode(line) + b"\n")
        out.flush()
        os.fsync(out.fileno())
    if as_json:
        typer.echo(packs.encode(opened).decode())
        return
    show(
        {
            "opened": task,
            "line": line.number,
            "hash": line.hash,
            "next": "Print it with --json for whoever verifies it.",
        },
        as_json=False,
    )


@app.command("verify")
@told
def verify(
    opening: Path,
    commitment: Path,
    log: Annotated[Path | None, typer.Option(help="An unsealing log to check too.")] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Say whether an opened task is one that was committed to; ends with 1 when it is not.

    The task is made anew from its seed and compared to the last byte; no network is used.
    """
    opened = json_bounds.decode(read_file(opening, packs.LARGEST), Opened, what="an opened task")
    against = json_bounds.decode(
        read_file(commitment, packs.LARGEST), Published, what="a commitment"
    )
    known = {each.name: each for each in shipped.every_template()}
    wrong = list(packs.verify(opened, against, known))
    if log is not None and all(
        (each.task, each.root) != (opened.name, opened.root)
        for each in packs.read_log(read_file(log, packs.LARGEST))
    ):
        wrong.append("the unsealing log does not tell of it")
    show({"task": opened.name, "holds": not wrong, "wrong": wrong}, as_json=as_json)
    if wrong:
        raise typer.Exit(EXIT_REFUSED)


def _of(pack: Path, identity: Path | None) -> tuple[packs.Pack, Suite]:
    found = packs.read(read_sealed(pack, packs.LARGEST, identity))
    return found, packs.suite_of(found, shipped.every_template())


def _summary(suite: Suite) -> _Row:
    families = sorted({str(each.template.family) for each in suite.entries})
    return {
        "suite": suite.name,
        "tasks": len(suite.entries),
        "templates": suite.templates,
        "families": families,
    }


def _shown(sandbox: StrongestSandbox, task: Task, checker: Checker) -> Shown | CannotRunError:
    try:
        return shown(sandbox, task, checker)
    except CannotRunError as problem:
        return problem


def _told(found: Iterator[Shown | CannotRunError], total: int) -> Iterator[Shown | CannotRunError]:
    """Pass on what comes, saying how far it is whenever a tenth more is done."""
    for number, each in enumerate(found, 1):
        if number * 10 // total != (number - 1) * 10 // total:
            typer.echo(f"{number} of {total} tasks", err=True)
        yield each


def _by_template(done: list[Shown]) -> list[_Row]:
    rows: list[_Row] = []
    for name in dict.fromkeys(each.template for each in done):
        of = [each for each in done if each.template == name]
        shares = [each.share for each in of]
        rows.append(
            {
                "template": name,
                "tasks": len(of),
                "reference": sum(each.reference for each in of),
                "reader": sum(each.reader for each in of),
                "prober": sum(each.prober for each in of),
                "share of agents": f"{min(shares):.2f} to {max(shares):.2f}",
            }
        )
    return rows
