"""`clearhold model finding` and `safeguard`: what a tested model found, and ways around its safeguards."""

from __future__ import annotations

import base64
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from clearhold.delivery.cli.log_reading import content
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.evaluations.safeguard_steps import Step
from clearhold.kernel.errors import InvalidError

findings = typer.Typer(help="What a tested model found, maintainer first.", no_args_is_help=True)
safeguards = typer.Typer(help="Ways around safeguards, to their re-test.", no_args_is_help=True)


@findings.command("handover")
@told
def handover(
    engagement: str,
    file: Annotated[Path, typer.Argument(help="The finding, as clearhold-finding/1.")],
    trials: Annotated[str, typer.Option(help="SHA-256 of the trials it came up in.")],
    task: Annotated[str, typer.Option(help="The task it came up in.")],
    *,
    as_json: bool = JsonOption,
) -> None:
    """Hand over a bug that a tested model found; what the public knows is kept for calibration."""
    body = {
        "finding": base64.b64encode(content(file)).decode(),
        "trials_sha256": trials,
        "task": task,
    }
    show(hub().post(f"/evaluations/engagements/{engagement}/findings", body), as_json=as_json)


@findings.command("list")
@told
def handed_over(engagement: str, *, as_json: bool = JsonOption) -> None:
    """List what was handed over in an engagement."""
    show(hub().get(f"/evaluations/engagements/{engagement}/findings"), as_json=as_json)


@safeguards.command("report")
@told
def report(
    engagement: str,
    file: Annotated[
        Path,
        typer.Argument(help="TOML: title, variant, reach, severity, automated, expert_hours."),
    ],
    kit: Annotated[
        Path | None, typer.Option(help="An age file, encrypted to the developer's recipients.")
    ] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Report a way around safeguards, as the evaluator; the hub cannot read the kit."""
    try:
        body = tomllib.loads(content(file).decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidError(f"{file} is no TOML: {error}.") from error
    if kit is not None:
        body["kit"] = base64.b64encode(content(kit)).decode()
    show(hub().post(f"/evaluations/engagements/{engagement}/safeguards", body), as_json=as_json)


@safeguards.command("step")
@told
def step(
    engagement: str,
    safeguard: str,
    to: Step,
    configuration: Annotated[
        str, typer.Option(help="SHA-256 of the configuration that was fixed, or tested again.")
    ] = "",
    trials: Annotated[str, typer.Option(help="SHA-256 of the re-test's trials.")] = "",
    reason: str = "",
    *,
    as_json: bool = JsonOption,
) -> None:
    """Say how it goes on: the developer acknowledges and fixes, the evaluator tests again."""
    body = {"to": to, "configuration": configuration, "reason": reason, "trials_sha256": trials}
    path = f"/evaluations/engagements/{engagement}/safeguards/{safeguard}/steps"
    show(hub().post(path, body), as_json=as_json)


@safeguards.command("effort")
@told
def effort(
    engagement: str,
    safeguard: str,
    file: Annotated[Path, typer.Argument(help="The log of attempts, as clearhold-effort/1.")],
    *,
    as_json: bool = JsonOption,
) -> None:
    """Give the log of what a finding took, as the evaluator; the developer may read it too."""
    try:
        body = {"log": content(file).decode()}
    except UnicodeDecodeError as error:
        raise InvalidError(f"{file} is no text in UTF-8.") from error
    path = f"/evaluations/engagements/{engagement}/safeguards/{safeguard}/effort"
    show(hub().post(path, body), as_json=as_json)


@safeguards.command("list")
@told
def listing(engagement: str, *, as_json: bool = JsonOption) -> None:
    """List the safeguard findings of an engagement; `clearhold model report open` opens a kit."""
    show(hub().get(f"/evaluations/engagements/{engagement}/safeguards"), as_json=as_json)
