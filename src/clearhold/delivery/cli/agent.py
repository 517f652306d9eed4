"""`clearhold agent`: the operator's side on the command line; every command has `--json`.

Exit codes: 0 done, 1 refused or failed (the message says why and what to do), 2 wrong usage,
3 an upgrade was taken back.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, ParamSpec

import typer
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.sandbox_strongest import StrongestSandbox
from clearhold.agent import receive as receiving
from clearhold.agent import sync as syncing
from clearhold.agent import upgrade as upgrading
from clearhold.agent.environment import read_environment
from clearhold.agent.matching import Match
from clearhold.agent.policy import Policy, read_policy
from clearhold.agent.receipt import Issued, issued
from clearhold.agent.state import AgentState, write_file
from clearhold.agent.sync import Synced
from clearhold.delivery.cli.output import EXIT_REFUSED, tell
from clearhold.delivery.printed import printable
from clearhold.kernel.errors import ClearholdError, NotFoundError
from clearhold.wire import cyclonedx, dsse, key_holding
from clearhold.wire.receipt import ReceiptState

P = ParamSpec("P")

ROLLED_BACK: Final = 3

app = typer.Typer(
    name="agent",
    help="The operator's side: sync, plan, apply and receipt fixes in your own environments.",
    no_args_is_help=True,
)

StateOption = Annotated[
    Path, typer.Option("--state", envvar="CLEARHOLD_AGENT_STATE", help="The agent's directory.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
EnvironmentArgument = Annotated[
    Path, typer.Argument(help="The virtual environment, the directory with pyvenv.cfg.")
]
_STATE: Final = Path.home() / ".local" / "state" / "clearhold-agent"


def _explained(command: Callable[P, None]) -> Callable[P, None]:
    """Print errors of ours as a sentence and a next step (or JSON), with exit code 1."""

    @wraps(command)
    def explained(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ClearholdError as error:
            if kwargs.get("as_json"):
                report = {
                    "error": error.code,
                    "message": error.message,
                    "next_step": error.next_step,
                }
                typer.echo(json.dumps(report))
            else:
                tell(error)
            raise typer.Exit(EXIT_REFUSED) from error

    return explained


@app.command()
@_explained
def enrol(
    repository: Annotated[str, typer.Argument(help="The hub's repository: directory or URL.")],
    *,
    operator: Annotated[str, typer.Option(help="The pseudonym receipts are signed for.")],
    root: Annotated[Path | None, typer.Option(help="The root file to trust.")] = None,
    root_sha256: Annotated[str | None, typer.Option(help="Its SHA-256 instead.")] = None,
    state: StateOption = _STATE,
    as_json: JsonOption = False,
) -> None:
    """Pin what to trust and make the operator's key; prints the public key to register."""
    agent = AgentState(state)
    enrolment = syncing.enrol(
        agent,
        repository=repository,
        operator=operator,
        root=root,
        root_sha256=root_sha256,
        now=SystemClock().now(),
    )
    public = agent.key().public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    _print(
        as_json,
        {
            "operator": enrolment.operator,
            "repository": enrolment.repository,
            "root_sha256": enrolment.root_sha256,
            "key_id": dsse.key_id(public),
            "public_key": pem,
        },
        f"Enrolled as {enrolment.operator}. Register this key with the hub:\n{pem}",
    )


@app.command()
@_explained
def key(
    party: Annotated[str, typer.Argument(help="Your party's id at the hub.")],
    output: Annotated[Path, typer.Argument(help="Where to write it.")],
    *,
    state: StateOption = _STATE,
    as_json: JsonOption = False,
) -> None:
    """Write what registers this agent's key for your party: `clearhold party key add` sends it."""
    agent = AgentState(state)
    agent.enrolment()
    holder = agent.key()
    write_file(output, json.dumps(key_holding.registration(party, holder)).encode())
    told = {"key_id": dsse.key_id(holder.public_key()), "file": str(output)}
    _print(as_json, told, f"Send it with: clearhold party key add {output}")


@app.command()
@_explained
def inventory(
    environment: EnvironmentArgument,
    *,
    output: Annotated[Path | None, typer.Option(help="Write CycloneDX JSON here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what is installed, without running any of it."""
    found = read_environment(environment)
    if output is not None:
        document = cyclonedx.write(
            [each.purl for each in found.packages],
            name=found.path.name,
            serial_number=uuid.uuid4(),
            now=SystemClock().now(),
        )
        write_file(output, document, mode=0o644)
    lines = [str(each.purl) for each in found.packages]
    lines += [f"not read: {each.name}: {each.reason}" for each in found.unread]
    _print(
        as_json,
        {
            "environment": str(found.path),
            "python": found.python,
            "packages": [str(each.purl) for each in found.packages],
            "unread": [{"name": each.name, "reason": each.reason} for each in found.unread],
            "output": str(output) if output else None,
        },
        "\n".join(lines),
    )


@app.command()
@_explained
def sync(
    *,
    environment: Annotated[
        list[Path] | None,
        typer.Option(help="Also fetch the fixes of this environment and receipt what concerns it."),
    ] = None,
    state: StateOption = _STATE,
    as_json: JsonOption = False,
) -> None:
    """Fetch and verify what was published."""
    agent, clock = AgentState(state), SystemClock()
    synced = syncing.sync(agent, clock.now())
    receipts = [
        each for path in environment or () for each in receiving.receive(agent, path, clock)
    ]
    report = _synced(synced) | {"receipts": [_receipt(each) for each in receipts]}
    _print(as_json, report, f"{_sync_line(synced)} {len(receipts)} matches receipted.")


@app.command()
@_explained
def plan(
    environment: EnvironmentArgument, *, state: StateOption = _STATE, as_json: JsonOption = False
) -> None:
    """Show which advisories hit an environment and what would fix them."""
    synced, found, hits = receiving.plan(AgentState(state), environment, SystemClock())
    lines = [_sync_line(synced), *(_match_line(each) for each in hits)]
    lines += [] if hits else ["Nothing published hits it."]
    lines += [f"not read: {each.name}: {each.reason}" for each in found.unread]
    cut = upgrading.interrupted(AgentState(state))
    if cut:
        lines.append("An upgrade was interrupted: run clearhold agent status to finish it.")
    report = _synced(synced) | {
        "environment": str(found.path),
        "interrupted": cut,
        "matches": [_match(each) for each in hits],
        "unread": [{"name": each.name, "reason": each.reason} for each in found.unread],
    }
    _print(as_json, report, "\n".join(lines))


@app.command()
@_explained
def apply(
    environment: EnvironmentArgument,
    advisory: Annotated[str, typer.Argument(help="The advisory whose fix to apply.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, change this environment.")] = False,
    policy: Annotated[Path | None, typer.Option(help="A file that permits changes.")] = None,
    accept_stale: Annotated[
        bool, typer.Option(help="Use a sync whose signatures have run out.")
    ] = False,
    state: StateOption = _STATE,
    as_json: JsonOption = False,
) -> None:
    """Upgrade the affected package, show that the proof of concept fails, and sign receipts."""
    permission = read_policy(policy) if policy else Policy()
    upgraded = upgrading.apply(
        _agent(state),
        environment,
        advisory,
        confirmed=yes,
        policy=permission,
        accept_stale=accept_stale,
    )
    _print(
        as_json,
        {
            "state": upgraded.state.value,
            "reason": upgraded.reason,
            "proof_before": upgraded.before.value,
            "proof_after": upgraded.after.value,
            "receipts": [_receipt(each) for each in upgraded.receipts],
        },
        f"{upgraded.state}: {upgraded.reason}",
    )
    if upgraded.state is ReceiptState.ROLLED_BACK:
        raise typer.Exit(ROLLED_BACK)


@app.command()
@_explained
def receipt(
    *,
    output: Annotated[
        Path | None, typer.Option(help="Write the signed receipts into this directory.")
    ] = None,
    after: Annotated[int, typer.Option(help="Only receipts numbered above this.")] = 0,
    decline: Annotated[
        str | None, typer.Option(help="First sign that this advisory's fix is declined.")
    ] = None,
    environment: Annotated[Path | None, typer.Option(help="Where it is declined.")] = None,
    reason: Annotated[str, typer.Option(help="Why it is declined.")] = "",
    state: StateOption = _STATE,
    as_json: JsonOption = False,
) -> None:
    """List or export signed receipts, for you to send; the agent sends nothing itself."""
    agent = AgentState(state)
    agent.enrolment()
    if decline is not None:
        if environment is None:
            raise typer.BadParameter("--decline needs --environment")
        receiving.decline(agent, environment, decline, reason=reason, clock=SystemClock())
    chosen = [each for each in issued(agent) if each.receipt.counter > after]
    if output is not None:
        for each in chosen:
            write_file(output / f"{each.receipt.counter:012}.json", each.envelope, mode=0o644)
    lines = [
        f"{each.receipt.counter} {each.receipt.issued:%Y-%m-%d %H:%M} {each.receipt.advisory} "
        f"{each.receipt.package} {each.receipt.from_version} to {each.receipt.to_version}: "
        f"{each.receipt.state}"
        for each in chosen
    ]
    _print(as_json, {"receipts": [_receipt(each) for each in chosen]}, "\n".join(lines))


@app.command()
@_explained
def status(*, state: StateOption = _STATE, as_json: JsonOption = False) -> None:
    """Say whom this agent reports for, how fresh its knowledge is, and finish what was interrupted."""
    agent = _agent(state)
    enrolment = agent.state.enrolment()
    recovered = upgrading.recover(agent)
    synced: dict[str, Any] | None = None
    try:
        known = syncing.last_synced(agent.state, agent.clock.now())
        synced, line = _synced(known), _sync_line(known)
    except NotFoundError as error:
        line = error.message
    receipts = issued(agent.state)
    key = agent.state.key().public_key()
    report: dict[str, Any] = {
        "operator": enrolment.operator,
        "repository": enrolment.repository,
        "key_id": dsse.key_id(key),
        "synced": synced,
        "receipts": len(receipts),
        "recovered": recovered.state.value if recovered else None,
    }
    lines = [f"{enrolment.operator} follows {enrolment.repository}.", line]
    if recovered is not None:
        lines.append(f"An interrupted upgrade was finished: {recovered.state}: {recovered.reason}")
    lines.append(f"{len(receipts)} receipts.")
    _print(as_json, report, "\n".join(lines))


def _agent(state: Path) -> upgrading.Agent:
    # The proof's programs may not even be bound beside the operator's key.
    return upgrading.Agent(
        AgentState(state), SystemClock(), StrongestSandbox(forbidden=(state.resolve(),))
    )


def _print(as_json: bool, report: Mapping[str, Any], text: str) -> None:  # noqa: FBT001  (a flag's value)
    typer.echo(json.dumps(report) if as_json else printable(text))


def _synced(synced: Synced) -> dict[str, Any]:
    return {
        "bundle": synced.bundle.number if synced.bundle else None,
        "bundle_sha256": synced.bundle_sha256,
        "advisories": len(synced.bundle.advisories) if synced.bundle else 0,
        "at": synced.at.isoformat(),
        "timestamp_version": synced.timestamp_version,
        "expires": synced.expires.isoformat(),
        "stale": synced.stale,
    }


def _sync_line(synced: Synced) -> str:
    what = (
        f"Bundle {synced.bundle.number} with {len(synced.bundle.advisories)} advisories"
        if synced.bundle
        else "No bundle published yet"
    )
    stale = "ran out" if synced.stale else "is good until"
    return (
        f"{what}, synced {synced.at:%Y-%m-%d %H:%M}, {stale} {synced.expires:%Y-%m-%d %H:%M} UTC."
    )


def _match(hit: Match) -> dict[str, Any]:
    return {
        "advisory": hit.advisory.id,
        "summary": hit.advisory.summary,
        "package": str(hit.installed.purl),
        "verdict": hit.judgement.verdict.value,
        "reason": hit.judgement.reason,
        "fix": hit.remedy.package if hit.remedy else None,
        "provable": hit.probe is not None,
    }


def _match_line(hit: Match) -> str:
    fix = f"fix: {hit.remedy.package}" if hit.remedy else "no fix delivered"
    return (
        f"{hit.advisory.id} {hit.installed.purl}: {hit.judgement.verdict} "
        f"({hit.judgement.reason}) {fix}"
    )


def _receipt(each: Issued) -> dict[str, Any]:
    receipt = each.receipt
    return {
        "counter": receipt.counter,
        "issued": receipt.issued.isoformat(),
        "environment": receipt.environment,
        "advisory": receipt.advisory,
        "package": receipt.package,
        "from_version": receipt.from_version,
        "to_version": receipt.to_version,
        "state": receipt.state.value,
        "reason": receipt.reason,
        "evidence": dict(receipt.evidence),
        "envelope": json.loads(each.envelope),
    }
