"""Taking in what concerns an environment: receipts for it, and its files for use without network."""

from __future__ import annotations

import hashlib
from pathlib import Path

from clearhold.agent.environment import Environment, read_environment
from clearhold.agent.matching import Match, match
from clearhold.agent.receipt import Issued, Subject, issue
from clearhold.agent.state import AgentState
from clearhold.agent.sync import Synced, last_synced, obtain
from clearhold.kernel.errors import ConflictError, NotFoundError
from clearhold.kernel.purl import Purl
from clearhold.ports.clock import Clock
from clearhold.wire.receipt import ReceiptState


def plan(
    state: AgentState, path: Path, clock: Clock
) -> tuple[Synced, Environment, tuple[Match, ...]]:
    """What the last sync means for the environment at `path`; reads only.

    Raises what `last_synced` and `read_environment` raise.
    """
    synced = last_synced(state, clock.now())
    environment = read_environment(path)
    hits = match(synced.bundle, environment) if synced.bundle else ()
    return synced, environment, hits


def receive(state: AgentState, path: Path, clock: Clock) -> tuple[Issued, ...]:
    """Fetch what the fixes of the environment at `path` need, and issue `received` once for each.

    One receipt per advisory revision, package, version and environment, however often it is asked.
    """
    synced, environment, hits = plan(state, path, clock)
    for hit in hits:
        targets = [hit.remedy.artefact] if hit.remedy else []
        targets += hit.probe.files.values() if hit.probe else []
        for target in targets:
            obtain(state, target, clock.now())
    with state.locked():
        return tuple(
            issue(
                state,
                _subject(state, environment, hit, step=ReceiptState.RECEIVED),
                ReceiptState.RECEIVED,
                reason=hit.judgement.reason,
                evidence={"bundle": synced.bundle_sha256},
                now=clock.now(),
            )
            for hit in hits
        )


def decline(state: AgentState, path: Path, advisory: str, *, reason: str, clock: Clock) -> Issued:
    """State, signed, that the fix of `advisory` will not be applied at `path`, and why.

    Raises `NotFoundError` when the advisory does not concern the environment and `ConflictError`
    without a reason.
    """
    if not reason.strip():
        raise ConflictError(
            "A fix is declined with a reason.", next_step="Say why, for example with --reason."
        )
    synced, environment, hits = plan(state, path, clock)
    for hit in hits:
        if hit.advisory.id == advisory:
            with state.locked():
                return issue(
                    state,
                    _subject(state, environment, hit, step=ReceiptState.DECLINED),
                    ReceiptState.DECLINED,
                    reason=reason.strip()[:2000],
                    evidence={"bundle": synced.bundle_sha256},
                    now=clock.now(),
                )
    raise NotFoundError(
        f"{advisory[:80]!r} does not concern this environment.",
        next_step="Run clearhold agent plan to see what does.",
    )


def _subject(
    state: AgentState, environment: Environment, hit: Match, *, step: ReceiptState
) -> Subject:
    pseudonym = state.environment_pseudonym(environment.path)
    package = str(hit.installed.purl.package)
    same = f"{step} {pseudonym} {hit.advisory.id} {hit.advisory.revision} {hit.installed.purl}"
    return Subject(
        action=hashlib.sha256(same.encode()).hexdigest()[:32],
        environment=pseudonym,
        advisory=hit.advisory.id,
        package=package,
        from_version=hit.installed.version,
        to_version=(Purl.parse(hit.remedy.package).version or "") if hit.remedy else "",
    )
