"""What tests of publishing and remediation start from: services wired to a case that obeys rules.

The case desk here keeps its cases in memory but keeps the promises of `case_file.CaseFiles`: only
who is read in to the compartment sees a case, and what is public is no longer under embargo.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx
from fastapi import FastAPI

from agreeing import agree
from clearhold.access.grants import Grantee, parties_in, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.access.throttle import Throttle
from clearhold.access.tokens import Tokens
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.advisories.case_file import CaseFile
from clearhold.advisories.dossier import Dossiers
from clearhold.advisories.draft import (
    Automatable,
    CreditGiven,
    Draft,
    Exploitation,
    PriorityFacts,
    TechnicalImpact,
)
from clearhold.advisories.feeds import Feeds
from clearhold.advisories.flows import PUBLISHED, SWEEP, Publication
from clearhold.advisories.model import CreditRole, Publisher
from clearhold.advisories.service import PUBLISH, AdvisoryService, Notice
from clearhold.delivery.http import advisories as advisories_http
from clearhold.delivery.http import feeds as feeds_http
from clearhold.delivery.http import inventory as inventory_http
from clearhold.delivery.http import problems
from clearhold.delivery.http import remediation as remediation_http
from clearhold.inventory.model import AssetProfile
from clearhold.inventory.service import UPLOADED, InventoryService
from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.ids import CaseId, CompartmentId
from clearhold.kernel.matching import Range
from clearhold.kernel.purl import Purl
from clearhold.parties.agreements import AgreementService
from clearhold.parties.service import PartyService
from clearhold.patches.judging import Delivery, Manifest, Probe
from clearhold.ports.clock import Clock
from clearhold.remediation.flows import MATCH, Matching
from clearhold.remediation.service import RemediationService
from clearhold.settings import Settings
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault
from clearhold.wire import cyclonedx
from clearhold.wire.bundle import Ending

ISSUER = Publisher(
    name="Test hub",
    namespace="https://hub.example.org",
    cve_org_id="00000000-0000-4000-8000-000000000000",
    cve_short_name="test-hub",
)
WHEEL = b"a wheel that brings ujson 5.4.0"


class RecordingPublisher:
    """Keeps what was released, and dies on demand before or after keeping it."""

    def __init__(self) -> None:
        self.released: dict[str, bytes] = {}
        self.releases: list[frozenset[str]] = []
        self.refreshed: list[datetime] = []

    def initialise(self, now: datetime) -> int:
        return 1

    def publish(self, targets: Mapping[str, bytes], now: datetime) -> int:
        if any(self.released.get(path) != data for path, data in targets.items()):
            self.released |= dict(targets)
            self.releases.append(frozenset(targets))
        return len(self.releases)

    def refresh(self, now: datetime) -> int:
        self.refreshed.append(now)
        return len(self.refreshed)

    def trusted_root(self) -> bytes:
        return b"{}"


@dataclass
class Desk:
    """Cases by id, with what was made ready to install for them."""

    files: dict[CaseId, CaseFile] = field(default_factory=dict)
    deliveries: dict[CaseId, Delivery | None] = field(default_factory=dict)
    public: list[CaseId] = field(default_factory=list)

    def visible(self, unit: UnitOfWork, actor: Actor, case: CaseId) -> CaseFile:
        found = self.files.get(case)
        if found is None or actor.party not in parties_in(unit, found.compartment):
            raise NotFoundError("There is no such case.")
        return found

    def current(self, unit: UnitOfWork, case: CaseId) -> CaseFile:
        return self.files[case]

    def delivery(self, unit: UnitOfWork, case: CaseId, *, reader: str) -> Delivery | None:
        return self.deliveries[case]

    def made_public(self, unit: UnitOfWork, case: CaseId, *, by: str) -> None:
        self.files[case] = dataclasses.replace(self.files[case], embargo_ends=None)
        self.public.append(case)

    def change(self, case: CaseId, **values: object) -> None:
        self.files[case] = dataclasses.replace(self.files[case], **values)


class Road:
    """Everything wired on one database."""

    def __init__(
        self, sessions: Sessions, vault: Vault, tokens: Tokens, engine: MemoryEngine, clock: Clock
    ) -> None:
        self.sessions, self.vault, self.engine, self.clock = sessions, vault, engine, clock
        self.tokens = tokens
        self.parties = PartyService(sessions, tokens)
        self.agreements = AgreementService(sessions)
        self.desk = Desk()
        self.publisher = RecordingPublisher()
        dossiers = Dossiers(vault, self.desk, ISSUER)
        self.inventories = InventoryService(sessions, vault)
        self.advisories = AdvisoryService(sessions, dossiers)
        self.publication = Publication(sessions, dossiers, publisher=self.publisher, clock=clock)
        self.feeds = Feeds(sessions, ISSUER)
        self.remediation = RemediationService(sessions, vault, advisories=self.advisories)
        self.matching = Matching(
            sessions, vault, advisories=self.advisories, inventories=self.inventories
        )
        engine.register(PUBLISH, self.publication.publish)
        engine.register(SWEEP, self.publication.sweep)
        engine.register(MATCH, self.matching.match)
        engine.register(f"on:{PUBLISHED}", self.matching.match)
        engine.register(f"on:{UPLOADED}", self.matching.rematch)
        _, issued = self.parties.found_hub(
            handle="hub", name="Hub", person="Ada", life=timedelta(days=90)
        )
        self.coordinator = self._actor(issued.secret)

    def _actor(self, secret: str) -> Actor:
        with self.sessions.transaction() as unit:
            return self.tokens.authenticate(unit, secret)

    def party(self, kind: PartyKind, handle: str) -> Actor:
        new = self.parties.register(self.coordinator, handle=handle, name=handle, kind=kind)
        token = self.parties.issue_token(self.coordinator, new.id, life=timedelta(days=90))
        agree(self.parties, self.agreements, self._actor(token.secret), self.clock.now())
        return self._actor(token.secret)

    def case(self, *, embargo: timedelta | None = timedelta(days=7), **values: object) -> CaseId:
        """A case at level 3 with an accepted patch, the coordinator read in."""
        identity = CaseId(str(uuid.uuid4()))
        with self.sessions.transaction() as unit:
            within = CompartmentId(self.vault.open_compartment(unit))
            read_in(
                unit,
                within,
                Grantee(self.coordinator.party, self.coordinator.principal),
                tier=0,
                reason="runs the case",
                granted_by=self.coordinator.principal,
            )
            ends = None if embargo is None else unit.now + embargo
        self.desk.files[identity] = CaseFile(identity, within, 3, ends, early_notice=False)
        self.desk.deliveries[identity] = delivery()
        self.desk.change(identity, **values)
        return identity

    def drafted(self, case: CaseId, **values: object) -> Notice:
        return self.advisories.draft(self.coordinator, case, draft(**values), key=str(uuid.uuid4()))

    def scheduled(self, case: CaseId, **values: object) -> Notice:
        return self.advisories.schedule(self.coordinator, self.drafted(case, **values).id)


@dataclass(frozen=True)
class Served:
    """As much of a hub as the routes of these modules ask for."""

    settings: Settings
    road: Road
    feeds: Feeds
    inventories: InventoryService
    advisories: AdvisoryService
    remediation: RemediationService
    throttle: Throttle

    def authenticate(self, presented: str) -> Actor:
        with self.road.sessions.transaction() as unit:
            return self.road.tokens.authenticate(unit, presented)


class Caller:
    """Calls an application in this process, without a socket."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self._call("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self._call("POST", path, **options)

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
                return await client.request(method, path, **options)

        return anyio.run(call)


def caller_of(road: Road, settings: Settings) -> Caller:
    """The routes of these modules, served from a road."""
    app = FastAPI()
    problems.install(app)
    app.include_router(feeds_http.router)
    for each in (advisories_http, inventory_http, remediation_http):
        app.include_router(each.router, prefix="/api/v1")
    app.state.hub = Served(
        settings,
        road,
        road.feeds,
        road.inventories,
        road.advisories,
        road.remediation,
        Throttle(road.clock),
    )
    return Caller(app)


def delivery(version: str = "5.4.0") -> Delivery:
    manifest = Manifest(
        package="pkg:pypi/ujson",
        version=version,
        wheel_name=f"ujson-{version}-cp311-cp311-linux_x86_64.whl",
        probe=Probe(
            argv=("{python}", "/in/driver.py", "/in/proof"),
            files={"/in/driver.py": b"import ujson\n", "/in/proof": b"[[[["},
            works=Ending(signals=(6, 11)),
            clean=Ending(exit_codes=(0,)),
        ),
    )
    return Delivery(manifest, WHEEL)


def draft(**values: object) -> Draft:
    stated = Draft(
        title="Stack buffer overflow when encoding with a large indent",
        summary="Encoding deeply nested lists with a large indent writes past a stack buffer.",
        details="The reserved space leaves out the indentation of nested containers.",
        package="pkg:pypi/ujson",
        vendor="ultrajson",
        ecosystem="PyPI",
        facts=PriorityFacts(
            exploitation=Exploitation.POC,
            exploitation_source="the case holds reproduced proofs",
            automatable=Automatable.YES,
            automatable_source="the input is data alone",
            technical_impact=TechnicalImpact.TOTAL,
            technical_impact_source="the return address is overwritten",
        ),
        ranges=(Range("0", "5.4.0"),),
        weaknesses=("CWE-121",),
        cvss=("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",),
        aliases=("CVE-2021-45958",),
        credits=(CreditGiven("Ada", CreditRole.FINDER, "agreed in the case on 3 June"),),
    )
    return dataclasses.replace(stated, **values)


def sbom(*purls: str, name: str = "system") -> bytes:
    return cyclonedx.write(
        [Purl.parse(each) for each in purls],
        name=name,
        serial_number=uuid.UUID(int=1),
        now=datetime.fromisoformat("2026-06-01T00:00:00Z"),
    )


def upload(
    road: Road, operator: Actor, *purls: str, name: str = "pumps", **profile: object
) -> None:
    road.inventories.upload(
        operator,
        name=name,
        document=sbom(*purls),
        profile=AssetProfile(**profile),
        key=str(uuid.uuid4()),
    )
