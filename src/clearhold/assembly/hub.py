"""A hub, wired together from its parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine

from clearhold.access import approvals
from clearhold.access.approvals import Act, ApprovalService
from clearhold.access.browser_sessions import BrowserSessions
from clearhold.access.ceremonies import Ceremonies
from clearhold.access.enrolments import Enrolments, EnrolmentService
from clearhold.access.ledger_desk import LedgerDesk
from clearhold.access.model import Actor
from clearhold.access.oidc import OidcService
from clearhold.access.passkeys import PasskeyService, RelyingParty
from clearhold.access.permissions import PartyKind
from clearhold.access.recovery import RecoveryService
from clearhold.access.throttle import Throttle
from clearhold.access.tokens import Tokens
from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.endpoints_https import HttpsEndpoints
from clearhold.adapters.engine_dbos import DbosEngine
from clearhold.adapters.pages_https import HttpsPages
from clearhold.adapters.passport_keys_file import PassportKeys
from clearhold.adapters.publisher_tuf import TufPublisher
from clearhold.adapters.sandbox_bwrap import check_enterable
from clearhold.adapters.signer_file import signing_key
from clearhold.adapters.web_guarded import GuardedWeb
from clearhold.advisories.case_desk import CaseDesk
from clearhold.advisories.case_export import CaseExports
from clearhold.advisories.dossier import Dossiers
from clearhold.advisories.feeds import Feeds
from clearhold.advisories.flows import Publication
from clearhold.advisories.model import Publisher as Issuer
from clearhold.advisories.service import AdvisoryService
from clearhold.assembly.keys import log_padding, log_signer, open_ring
from clearhold.assembly.known import known_of
from clearhold.assembly.laboratory import open_laboratory
from clearhold.assembly.proving import discovery_of, judge_and_port, validation_of
from clearhold.assembly.reactions import (
    examine_and_compare,
    heed_wishes_and_queues,
    publish_and_match,
)
from clearhold.cases import history as case_history
from clearhold.cases.contact import VendorContact
from clearhold.cases.embargoes import EmbargoService
from clearhold.cases.expunging import Expunging
from clearhold.cases.material import CaseMaterial
from clearhold.cases.reactions import CaseReactions
from clearhold.cases.readers import CaseReaders
from clearhold.cases.sealed import SealedCaseService
from clearhold.cases.service import CaseService
from clearhold.catalogue.service import CatalogueService
from clearhold.discovery.leads import LeadService
from clearhold.discovery.service import DiscoveryService
from clearhold.discovery.watching import Watching
from clearhold.evaluations import desk as model_desk
from clearhold.evaluations.desk import ModelDesk
from clearhold.findings.known.service import KnownService
from clearhold.findings.proposals import ProposalService
from clearhold.findings.reception import ANNOUNCE
from clearhold.findings.review import ReviewService
from clearhold.findings.service import FindingService
from clearhold.inventory.service import InventoryService
from clearhold.inventory.sharing import InventorySharing
from clearhold.kernel.errors import DeniedError
from clearhold.kernel.ids import FindingId, SubmissionId
from clearhold.ledger.files import LogFiles
from clearhold.ledger.model import Cadence, Leaf, LedgerReport
from clearhold.ledger.public_log import PublicLog
from clearhold.ledger.sequencer import Sequencer
from clearhold.parties.agreements import AgreementService
from clearhold.parties.contacts import ContactService
from clearhold.parties.invitations import InvitationService
from clearhold.parties.oversight import Oversight
from clearhold.parties.recipients import RecipientService
from clearhold.parties.service import PartyService
from clearhold.parties.signing_in import PartySignIn
from clearhold.parties.verification import VerificationService
from clearhold.parties.wishes import WishService
from clearhold.patches.service import PatchService
from clearhold.ports.clock import Clock
from clearhold.ports.engine import TaskEngine, attempt_of
from clearhold.ports.publisher import Publisher
from clearhold.remediation.exposure import ExposureCounts
from clearhold.remediation.flows import Matching
from clearhold.remediation.service import RemediationService
from clearhold.scanning import live as live_scanning
from clearhold.scanning.limits import Limits
from clearhold.scanning.live import LiveScanning
from clearhold.scanning.service import ScanningService
from clearhold.settings import Settings
from clearhold.store.database import migrate, open_engine
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.validation import affecting
from clearhold.validation import service as validation_service
from clearhold.validation.affecting import AffectedVersions
from clearhold.validation.service import ValidationService
from clearhold.vault.keeping import Guard, KeyKeeping
from clearhold.vault.service import Vault
from clearhold.wire.scan_passport import Signer


@dataclass(frozen=True, slots=True)
class Hub:
    """Everything a hub can do, wired together."""

    settings: Settings
    sessions: Sessions
    clock: Clock
    engine: TaskEngine
    vault: Vault
    keeping: KeyKeeping
    expunging: Expunging
    tokens: Tokens
    throttle: Throttle
    browsers: BrowserSessions
    passkeys: PasskeyService
    oidc: OidcService
    enrolments: EnrolmentService
    recoveries: RecoveryService
    approvals: ApprovalService
    ledger: LedgerDesk
    sequencer: Sequencer
    parties: PartyService
    recipients: RecipientService
    oversight: Oversight
    party_sign_in: PartySignIn
    agreements: AgreementService
    invitations: InvitationService
    verification: VerificationService
    contacts: ContactService
    wishes: WishService
    catalogue: CatalogueService
    scanning: ScanningService
    live: LiveScanning
    findings: FindingService
    known: KnownService
    reviews: ReviewService
    proposals: ProposalService
    cases: CaseService
    embargoes: EmbargoService
    sealed_cases: SealedCaseService
    readers: CaseReaders
    exports: CaseExports
    patches: PatchService
    validation: ValidationService
    affected: AffectedVersions
    discovery: DiscoveryService
    watching: Watching
    leads: LeadService
    inventories: InventoryService
    inventory_sharing: InventorySharing
    advisories: AdvisoryService
    publication: Publication
    publisher: Publisher
    feeds: Feeds
    remediation: RemediationService
    models: ModelDesk

    def authenticate(self, presented: str) -> Actor:
        """Who holds a token. Raises `UnauthenticatedError`."""
        with self.sessions.transaction() as unit:
            return self.tokens.authenticate(unit, presented)

    def two_people(self, actor: Actor) -> Guard:
        """The guard of what takes two coordinators: it uses up the approval of exactly this act.

        Raises `DeniedError` for any other party, which has no say over the hub's keys.
        """
        if actor.kind is not PartyKind.COORDINATOR:
            raise DeniedError("Only the hub's coordinators have a say over its keys.")

        def consume(unit: UnitOfWork, act: str, subject: str) -> None:
            approvals.consume(unit, actor, Act(act), subject)

        return consume

    def history(self, actor: Actor, *, after: int, limit: int) -> tuple[Leaf, ...]:
        """Ledger leaves that the actor may see."""
        return self.ledger.leaves(actor, after=after, limit=limit)

    def verify_ledger(self, actor: Actor) -> LedgerReport:
        """Check the whole ledger against itself and the published log."""
        return self.ledger.verify(actor)


def assemble(settings: Settings, *, database: Engine, clock: Clock, engine: TaskEngine) -> Hub:
    """Wire a hub from its parts."""
    ring = open_ring(settings)
    blobs = LocalBlobs(settings.data_directory / "artefacts")
    vault = Vault(ring, blobs, releases_per_hour=settings.releases_per_hour)
    sessions = Sessions(database, clock=clock, engine=engine)
    keeping = KeyKeeping(sessions, vault, ring=ring, blobs=blobs)
    tokens = Tokens(ring)
    signer = log_signer(settings)
    padding = log_padding(ring)
    files = LogFiles(settings.log_directory)
    sequencer = Sequencer(
        database,
        files,
        signer=signer,
        padding=padding,
        cadence=Cadence(timedelta(seconds=settings.log_interval), settings.log_quantum),
        clock=clock,
    )
    browsers = BrowserSessions(ring)
    ceremonies = Ceremonies(sessions, ring)
    enrolments = Enrolments(ring)
    oidc = OidcService(
        sessions,
        ceremonies,
        browsers,
        GuardedWeb(settings.oidc_networks),
        public_url=settings.public_url,
        secrets=settings.oidc_secrets,
    )
    scanning = ScanningService(
        sessions,
        vault,
        limits=Limits(
            exclusive=settings.scan_exclusive,
            per_package=settings.scan_per_package,
            answers=settings.scan_answers,
            told=settings.scan_told,
        ),
    )
    findings = FindingService(sessions, vault, scanning)
    known = known_of(settings, sessions, findings, ring=ring, engine=engine)
    material = CaseMaterial(findings)
    reactions = CaseReactions(sessions, material)
    laboratory = open_laboratory(settings)
    evidence_key = signing_key(settings.key_directory, "validation")
    validation, affected = validation_of(
        settings, sessions, vault, findings, laboratory, key=evidence_key
    )
    discovery, watching = discovery_of(
        settings,
        sessions,
        vault,
        scanning=scanning,
        findings=findings,
        validation=validation,
        laboratory=laboratory,
        engine=engine,
    )
    engine.register("on:finding.matched", reactions.on_matched)
    reviews = ReviewService(sessions, vault, findings)
    engine.register(
        ANNOUNCE,
        lambda ids: reviews.propose_batch(findings.announce(SubmissionId(ids["submission"]))),
    )
    examine_and_compare(
        engine, validation, affected, reviews=reviews, reactions=reactions, known=known
    )
    engine.register(
        validation_service.RUN,
        lambda ids: validation.run(FindingId(ids["finding"]), attempt=attempt_of(ids)),
    )
    engine.register(
        validation_service.ROOT_CAUSE,
        lambda ids: validation.root_cause(FindingId(ids["finding"])),
    )
    engine.register(affecting.RUN, lambda ids: affected.run(FindingId(ids["finding"])))
    patches = PatchService(sessions, vault, material, signing_key=evidence_key)
    judge_and_port(engine, settings, sessions, vault, material, laboratory=laboratory)
    issuer = Issuer(
        name=settings.publisher,
        namespace=settings.public_url,
        cve_org_id=settings.cve_organisation,
        cve_short_name=settings.cve_short_name,
    )
    publisher = TufPublisher(settings.repository_directory, settings.key_directory / "tuf")
    dossiers = Dossiers(vault, CaseDesk(material, patches), issuer)
    advisories = AdvisoryService(sessions, dossiers)
    publication = Publication(sessions, dossiers, publisher=publisher, clock=clock)
    inventories = InventoryService(sessions, vault)
    matching = Matching(sessions, vault, advisories=advisories, inventories=inventories)
    inventory_sharing = InventorySharing(sessions, vault)
    publish_and_match(
        engine,
        publication,
        matching,
        ExposureCounts(sessions, sharing=inventory_sharing, suggestions=scanning.suggestions),
    )
    contact = VendorContact(sessions, material)
    heed_wishes_and_queues(engine, scanning, contact)
    pages = HttpsPages()
    cases = CaseService(sessions, vault, material, contact)
    readers = CaseReaders(sessions, vault, contact)
    return Hub(
        settings=settings,
        sessions=sessions,
        clock=clock,
        engine=engine,
        vault=vault,
        tokens=tokens,
        throttle=Throttle(clock),
        browsers=browsers,
        passkeys=PasskeyService(
            sessions,
            ceremonies,
            browsers,
            enrolments,
            party=RelyingParty.at(settings.public_url, settings.publisher),
        ),
        oidc=oidc,
        enrolments=EnrolmentService(sessions, enrolments, tokens),
        recoveries=RecoveryService(
            sessions, enrolments, wait=timedelta(hours=settings.recovery_hours)
        ),
        approvals=ApprovalService(sessions),
        ledger=LedgerDesk(
            sessions,
            PublicLog(files.read, signer.verifier),
            padding,
            history=case_history.visible_to,
        ),
        sequencer=sequencer,
        keeping=keeping,
        expunging=Expunging(sessions, keeping),
        parties=PartyService(sessions, tokens),
        recipients=RecipientService(sessions),
        oversight=Oversight(sessions),
        party_sign_in=PartySignIn(sessions, enrolments, tokens, oidc),
        agreements=AgreementService(sessions),
        invitations=InvitationService(sessions, ring, tokens),
        verification=VerificationService(sessions, pages),
        contacts=ContactService(sessions, pages),
        wishes=WishService(sessions),
        catalogue=CatalogueService(sessions),
        scanning=scanning,
        live=live_scanning.make(
            sessions,
            vault,
            Signer(settings.public_url, PassportKeys(settings.key_directory, clock)),
            Throttle(clock),
        ),
        findings=findings,
        known=known,
        reviews=reviews,
        proposals=ProposalService(sessions, vault),
        cases=cases,
        embargoes=EmbargoService(sessions, vault, contact),
        sealed_cases=SealedCaseService(sessions, vault),
        readers=readers,
        exports=CaseExports(
            sessions,
            cases=cases,
            readers=readers,
            findings=findings,
            validation=validation,
            patches=patches,
            advisories=advisories,
        ),
        patches=patches,
        validation=validation,
        affected=affected,
        discovery=discovery,
        watching=watching,
        leads=LeadService(sessions, vault, findings),
        inventories=inventories,
        inventory_sharing=inventory_sharing,
        advisories=advisories,
        publication=publication,
        publisher=publisher,
        feeds=Feeds(sessions, issuer),
        remediation=RemediationService(sessions, vault, advisories=advisories),
        models=model_desk.make(
            sessions,
            vault,
            findings=findings,
            ring=ring,
            endpoints=HttpsEndpoints(settings.endpoint_networks),
            engine=engine,
        ),
    )


@contextmanager
def open_hub(settings: Settings, *, work: bool) -> Iterator[Hub]:
    """Open the hub of `settings` with its schema up to date; with `work`, run queued tasks too."""
    if work:
        check_enterable(settings.cache_directory)
    settings.data_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.data_directory.chmod(0o700)  # names and the ledger stand there in plain text
    database = open_engine(settings.database_url)
    engine = DbosEngine(database, executor=settings.executor, heavy_slots=settings.heavy_slots)
    hub = None
    try:
        migrate(database)
        engine.migrate()
        clock = SystemClock()
        hub = assemble(settings, database=database, clock=clock, engine=engine)
        hub.publisher.initialise(clock.now())  # agents pin its root before anything is published
        if work:
            engine.start()
            hub.publication.begin_sweeping()
            hub.models.watch.begin_sweeping()
            hub.sequencer.begin()
        yield hub
    finally:
        if hub is not None:
            hub.sequencer.end()
            hub.models.end()
        if work:
            engine.stop()
        database.dispose()
