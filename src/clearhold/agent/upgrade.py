"""One fix, in one environment its operator named, all the way or not at all.

A journal is kept of the one upgrade under way. Killed at any moment, the next run either takes the
previous version back or, when pip had finished, checks the result and goes on; each step's receipt
is issued once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from clearhold.agent import packages_pip
from clearhold.agent.environment import Environment, Installed, read_environment
from clearhold.agent.matching import Match, match
from clearhold.agent.policy import Policy
from clearhold.agent.receipt import Issued, Subject, issue, issued
from clearhold.agent.state import AgentState, write_file
from clearhold.agent.sync import Synced, kept, last_synced, obtain
from clearhold.agent.verify import Proof, ProofResult, prove
from clearhold.agent.wheel import Wheel, inspect_wheel
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    IntegrityError,
    NotFoundError,
)
from clearhold.kernel.ids import new_id
from clearhold.kernel.matching import Verdict
from clearhold.kernel.purl import Purl
from clearhold.ports.clock import Clock
from clearhold.ports.sandbox import Sandbox, Tier
from clearhold.wire.bundle import Bundle, Probe, Remedy
from clearhold.wire.receipt import ReceiptState

_JOURNAL: Final = "upgrade.json"


class Phase(StrEnum):
    """How far the upgrade under way is known to have come."""

    STAGED = "staged"
    INSTALLING = "installing"
    INSTALLED = "installed"
    ROLLING_BACK = "rolling_back"


class _Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    phase: Phase
    environment: str
    subject: Subject
    evidence: dict[str, str]
    least: int
    probe: Probe | None
    before: ProofResult
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """How an upgrade ended: `applied`, `verified_fixed` or `rolled_back`, and why.

    `before` and `after` say whether the proof of concept worked; `receipts` are those issued.
    """

    state: ReceiptState
    reason: str
    before: ProofResult
    after: ProofResult
    receipts: tuple[Issued, ...]


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent at work: its directory, its clock, and a sandbox (None: proofs are not run)."""

    state: AgentState
    clock: Clock
    sandbox: Sandbox | None


def apply(
    agent: Agent,
    path: Path,
    advisory: str,
    *,
    confirmed: bool,
    policy: Policy,
    accept_stale: bool = False,
) -> Upgraded:
    """Bring the fix of `advisory` into the environment at `path`.

    Needs the operator's word: `confirmed`, or a `policy` that permits it. An interrupted upgrade
    is finished first; when it was this one and its fix is in place, that is the answer. Raises
    `DeniedError` without the word, `ConflictError` when the advisory does not hit the environment,
    has no fix or the repository's signatures have run out, and what `sync` and the wheel's checks
    raise. A failure after the installation began is not raised: the previous version is put back
    and said so.
    """
    recovered = recover(agent)
    if recovered is not None and _answers(agent, recovered, path, advisory):
        return recovered
    synced = last_synced(agent.state, agent.clock.now())
    if synced.stale and not accept_stale:
        raise ConflictError(
            f"What was last synced ran out on {synced.expires:%Y-%m-%d %H:%M} UTC.",
            next_step="Sync again, or accept the stale state expressly.",
        )
    environment = read_environment(path)
    hit, remedy = _chosen(_bundle(synced), environment, advisory)
    package = str(hit.installed.purl.package)
    if not confirmed and not policy.permits(environment.path, package):
        raise DeniedError(
            f"Nobody has allowed {package} to be changed in this environment.",
            next_step="Confirm with --yes, or name both in a policy file.",
        )
    data = obtain(agent.state, remedy.artefact, agent.clock.now())
    for target in hit.probe.files.values() if hit.probe else ():
        obtain(agent.state, target, agent.clock.now())
    with agent.state.locked():
        return _upgrade(agent, path, advisory, synced=synced, data=data, policy=policy)


def interrupted(state: AgentState) -> bool:
    """Whether an upgrade was cut off, or is under way in another process."""
    return (state.path / _JOURNAL).exists()


def recover(agent: Agent) -> Upgraded | None:
    """Finish or take back an upgrade that was interrupted; None when there was none.

    Raises `IntegrityError` when the backup was altered.
    """
    with agent.state.locked():
        journal = agent.state.load(_JOURNAL, _Journal)
        if journal is None:
            packages_pip.discard(_backup(agent))
            return None
        steps = {
            each.receipt.state
            for each in issued(agent.state)
            if each.receipt.action == journal.subject.action
        }
        if ReceiptState.APPLIED in steps:
            return _confirm(agent, journal)
        if not (Path(journal.environment) / "pyvenv.cfg").is_file():
            return _close(agent, journal, ReceiptState.ROLLED_BACK, "The environment is gone.")
        if journal.phase is Phase.INSTALLED:
            return _check(agent, journal)
        reason = journal.reason or "The upgrade was interrupted and taken back."
        return _roll_back(agent, journal, reason)


def _answers(agent: Agent, recovered: Upgraded, path: Path, advisory: str) -> bool:
    subject = recovered.receipts[-1].receipt
    same = (advisory, agent.state.environment_pseudonym(path))
    return (
        recovered.state is not ReceiptState.ROLLED_BACK
        and (subject.advisory, subject.environment) == same
    )


def _bundle(synced: Synced) -> Bundle:
    if synced.bundle is None:
        raise ConflictError(
            "The repository has not published any advisory yet.", next_step="Sync again later."
        )
    return synced.bundle


def _chosen(bundle: Bundle, environment: Environment, advisory: str) -> tuple[Match, Remedy]:
    if all(entry.id != advisory for entry in bundle.advisories):
        raise NotFoundError(
            f"The synced bundle has no advisory {advisory[:80]!r}.",
            next_step="Run clearhold agent plan to see what concerns this environment.",
        )
    hits = [each for each in match(bundle, environment) if each.advisory.id == advisory]
    affected = [each for each in hits if each.judgement.verdict is Verdict.AFFECTED]
    if not affected:
        reason = hits[0].judgement.reason if hits else "no installed package is affected"
        raise ConflictError(
            f"{advisory} was not found to hit this environment: {reason}",
            next_step="Nothing is applied to what is not matched. See clearhold agent plan.",
        )
    for each in affected:
        if each.remedy is not None:
            return each, each.remedy
    raise ConflictError(
        f"{advisory} brings no fix for {affected[0].installed.purl}.",
        next_step="Mitigate by the advisory's text; sync again for a fix.",
    )


def _upgrade(
    agent: Agent, path: Path, advisory: str, *, synced: Synced, data: bytes, policy: Policy
) -> Upgraded:
    # Read again under the lock: what was installed a moment ago may have been changed by others.
    environment = read_environment(path)
    hit, remedy = _chosen(_bundle(synced), environment, advisory)
    fixed = Purl.parse(remedy.package)
    filename = remedy.artefact.path.rpartition("/")[2]
    wheel = inspect_wheel(filename, data, fixed=fixed, environment=environment)
    packages_pip.check_upgrade(environment, hit.installed, wheel)
    before, why = _proof(agent, hit.probe, environment, policy.tier)
    if policy.require_proof and (before is None or before.result is not ProofResult.WORKS):
        raise ConflictError(
            f"The policy asks for a proof, and there is none: {why}",
            next_step="Nothing was changed. Mend the cause or change the policy.",
        )
    subject = Subject(
        action=new_id(agent.clock.now()),
        environment=agent.state.environment_pseudonym(environment.path),
        advisory=advisory,
        package=str(hit.installed.purl.package),
        from_version=hit.installed.version,
        to_version=wheel.version,
    )
    evidence = {"bundle": synced.bundle_sha256, "artefact": remedy.artefact.sha256}
    if before is not None:
        evidence["proof_before"] = before.sha256
    journal = _Journal(
        phase=Phase.STAGED,
        environment=str(environment.path),
        subject=subject,
        evidence=evidence,
        least=int(policy.tier),
        probe=hit.probe,
        before=before.result if before else ProofResult.INCONCLUSIVE,
        reason="",
    )
    _issue(agent, journal, ReceiptState.VERIFIED, "The fix is what the signed list says.")
    packages_pip.discard(_backup(agent))
    packages_pip.back_up(environment, hit.installed, wheel, _backup(agent))
    agent.state.save(_JOURNAL, journal)
    _issue(agent, journal, ReceiptState.STAGED, "The previous version is backed up.")
    return _install(agent, journal, environment, hit.installed, wheel=wheel, data=data)


def _install(
    agent: Agent,
    journal: _Journal,
    environment: Environment,
    installed: Installed,
    *,
    wheel: Wheel,
    data: bytes,
) -> Upgraded:
    journal = _advance(agent, journal, Phase.INSTALLING)
    try:
        packages_pip.install(environment, wheel, data, journal.evidence["artefact"], _backup(agent))
    except ClearholdError as error:
        return _roll_back(agent, journal, error.message)
    except OSError as error:
        reason = f"{installed.name} could not be replaced: {error.strerror or error}."
        return _roll_back(agent, journal, reason)
    return _check(agent, _advance(agent, journal, Phase.INSTALLED))


def _check(agent: Agent, journal: _Journal) -> Upgraded:
    try:
        environment = read_environment(Path(journal.environment))
        name = Purl.parse(journal.subject.package).name
        reason = packages_pip.health(environment, name, journal.subject.to_version)
    except ClearholdError as error:
        reason = error.message
    if reason:
        return _roll_back(agent, journal, f"The environment was not healthy afterwards: {reason}")
    _issue(agent, journal, ReceiptState.APPLIED, "The fix is installed.")
    return _confirm(agent, journal)


def _confirm(agent: Agent, journal: _Journal) -> Upgraded:
    """After the installation, run the proof of concept again and close with what it shows."""
    environment = read_environment(Path(journal.environment))
    after, why = _proof(agent, journal.probe, environment, Tier(journal.least))
    if after is None:
        return _close(agent, journal, ReceiptState.APPLIED, f"Applied, not verified: {why}")
    journal = msgspec.structs.replace(
        journal, evidence=journal.evidence | {"proof_after": after.sha256}
    )
    if after.result is ProofResult.CLEAN and journal.before is ProofResult.WORKS:
        reason = "The proof of concept worked before and no longer works."
        return _close(agent, journal, ReceiptState.VERIFIED_FIXED, reason, after.result)
    reason = (
        f"Applied, not verified: before, the proof of concept was {journal.before}; "
        f"after, {after.result}. {after.reason}"
    )
    return _close(agent, journal, ReceiptState.APPLIED, reason, after.result)


def _roll_back(agent: Agent, journal: _Journal, reason: str) -> Upgraded:
    journal = _advance(agent, msgspec.structs.replace(journal, reason=reason), Phase.ROLLING_BACK)
    packages_pip.restore(Path(journal.environment), _backup(agent))
    return _close(agent, journal, ReceiptState.ROLLED_BACK, reason)


def _close(
    agent: Agent,
    journal: _Journal,
    step: ReceiptState,
    reason: str,
    after: ProofResult = ProofResult.INCONCLUSIVE,
) -> Upgraded:
    _issue(agent, journal, step, reason)
    (agent.state.path / _JOURNAL).unlink(missing_ok=True)
    packages_pip.discard(_backup(agent))
    receipts = tuple(
        each for each in issued(agent.state) if each.receipt.action == journal.subject.action
    )
    return Upgraded(step, reason, journal.before, after, receipts)


def _issue(agent: Agent, journal: _Journal, step: ReceiptState, reason: str) -> None:
    issue(
        agent.state,
        journal.subject,
        step,
        reason=reason[:2000],
        evidence=journal.evidence,
        now=agent.clock.now(),
    )


def _advance(agent: Agent, journal: _Journal, phase: Phase) -> _Journal:
    journal = msgspec.structs.replace(journal, phase=phase)
    agent.state.save(_JOURNAL, journal)
    return journal


def _proof(
    agent: Agent, probe: Probe | None, environment: Environment, least: Tier
) -> tuple[Proof | None, str]:
    """A run of the probe, kept as evidence; or None and why there was none."""
    if probe is None:
        return None, "the advisory brings no probe."
    if agent.sandbox is None:
        return None, "there is no sandbox on this machine."
    try:
        files = {place: kept(agent.state, target) for place, target in probe.files.items()}
        proof = prove(probe, environment, files, sandbox=agent.sandbox, least=least)
    except IntegrityError:
        raise
    except ClearholdError as error:
        return None, error.message
    write_file(agent.state.path / "evidence" / f"{proof.sha256}.json", proof.evidence)
    return proof, proof.reason


def _backup(agent: Agent) -> Path:
    return agent.state.path / "backup"
