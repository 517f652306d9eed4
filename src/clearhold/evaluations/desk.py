"""The model-testing desk: its services, made together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clearhold.evaluations.agreements import ModelAgreements
from clearhold.evaluations.beside_tests import BesideTests
from clearhold.evaluations.consents import Consents
from clearhold.evaluations.decisions import Decisions
from clearhold.evaluations.departments import Departments
from clearhold.evaluations.engagements import Engagements
from clearhold.evaluations.gateway import rounds
from clearhold.evaluations.gateway.calls import Gateway
from clearhold.evaluations.gateway.opened import Opened
from clearhold.evaluations.gateway.provision import Provisioning
from clearhold.evaluations.gateway.rounds import Rounds
from clearhold.evaluations.gateway.watch import SWEEP, Watch
from clearhold.evaluations.handover import Handovers
from clearhold.evaluations.papers import Papers
from clearhold.evaluations.reports import Reports
from clearhold.evaluations.safeguards import Safeguards
from clearhold.findings.service import FindingService
from clearhold.ports.endpoints import Endpoints
from clearhold.ports.engine import TaskEngine
from clearhold.ports.keys import KeyRing
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Vault


@dataclass(frozen=True, slots=True)
class ModelDesk:
    """Agreements about testing models, engagements and reports, and the gateway to what is tested."""

    agreements: ModelAgreements
    engagements: Engagements
    consents: Consents
    reports: Reports
    handovers: Handovers
    safeguards: Safeguards
    decisions: Decisions
    departments: Departments
    provisioning: Provisioning
    gateway: Gateway
    rounds: Rounds
    watch: Watch
    end: Callable[[], None]
    """To be called when the hub ends."""


def make(
    sessions: Sessions,
    vault: Vault,
    *,
    findings: FindingService,
    ring: KeyRing,
    endpoints: Endpoints,
    engine: TaskEngine,
) -> ModelDesk:
    """The desk of a hub; its flows are registered."""
    agreements = ModelAgreements(sessions, vault)
    engagements = Engagements(sessions, vault, agreements)
    papers = Papers(vault)
    departments = Departments(sessions, agreements, engagements, papers)
    beside = BesideTests(papers, departments)
    opened = Opened(vault)
    gateway = Gateway(sessions, opened=opened, ring=ring, endpoints=endpoints)
    canaries = Rounds(sessions, vault, engagements, opened=opened, endpoints=endpoints)
    watch = Watch(sessions, agreements, gateway=gateway, canaries=canaries)
    engine.register(rounds.RUN, canaries.run)
    engine.register(SWEEP, watch.sweep)
    return ModelDesk(
        agreements,
        engagements,
        Consents(sessions, vault, agreements, engagements),
        Reports(sessions, agreements, engagements, papers, beside),
        Handovers(sessions, engagements, papers, findings),
        Safeguards(sessions, engagements, papers),
        Decisions(sessions, agreements, engagements, papers),
        departments,
        Provisioning(
            sessions, agreements, engagements, opened=opened, ring=ring, endpoints=endpoints
        ),
        gateway,
        canaries,
        watch,
        endpoints.close,
    )
