"""The composition root: the one file that knows everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
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
from clearhold.adapters.git_refs import GitRepositories
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.adapters.keys_pkcs11 import Pkcs11KeyRing
from clearhold.adapters.model_openai import OpenAiModel
from clearhold.adapters.origins import all_origins
from clearhold.adapters.pages_https import HttpsPages
from clearhold.adapters.passport_keys_file import PassportKeys
from clearhold.adapters.publisher_tuf import TufPublisher
from clearhold.adapters.release_lists import RegistryReleases
from clearhold.adapters.sandbox_bwrap import BUILDERS_UID, check_enterable
from clearhold.adapters.sandbox_strongest import StrongestSandbox
from clearhold.adapters.second_key_http import HttpSecondKey
from clearhold.adapters.secret_file import secret_in
from clearhold.adapters.signer_file import signing_key
from clearhold.adapters.sources_cache import CachedSources
from clearhold.adapters.web_guarded import GuardedWeb
from clearhold.advisories import records as advisory_records
from clearhold.advisories.case_desk import CaseDesk
from clearhold.advisories.case_export import CaseExports
from clearhold.advisories.dossier import Dossiers
from clearhold.advisories.feeds import Feeds
from clearhold.advisories.flows import PUBLISHED, SWEEP, Publication
from clearhold.advisories.model import Publisher as Issuer
from clearhold.advisories.service import PUBLISH, AdvisoryService
from clearhold.cases import history as case_history
from clearhold.cases.contact import RELEASE, VendorContact
from clearhold.cases.embargoes import EmbargoService
from clearhold.cases.expunging import Expunging
from clearhold.cases.material import CaseMaterial
from clearhold.cases.reactions import CaseReactions
from clearhold.cases.readers import CaseReaders
from clearhold.cases.sealed import SealedCaseService
from clearhold.cases.service import CaseService
from clearhold.catalogue.service import CatalogueService
from clearhold.discovery import campaigns
from clearhold.discovery.agents.keeping import AgentKeeping
from clearhold.discovery.agents.reporting import AgentReports
from clearhold.discovery.leads import LeadService
from clearhold.discovery.searcher import LaboratorySearcher, all_engines
from clearhold.discovery.service import DiscoveryService
from clearhold.discovery.variants.flawed import FindingModels
from clearhold.discovery.watching import LOOK, Watching
from clearhold.evaluations import desk as model_desk
from clearhold.evaluations.desk import ModelDesk
from clearhold.findings.known import service as known_service
from clearhold.findings.known.service import KnownService, Quotas
from clearhold.findings.proposals import ProposalService
from clearhold.findings.reception import ANNOUNCE
from clearhold.findings.review import ReviewService
from clearhold.findings.service import FindingService
from clearhold.inventory import sharing
from clearhold.inventory.service import UPLOADED, InventoryService
from clearhold.inventory.sharing import InventorySharing
from clearhold.kernel.errors import DeniedError
from clearhold.kernel.ids import DiscoveryId, FindingId, SubmissionId
from clearhold.kernel.purl import Purl
from clearhold.ledger.files import LogFiles
from clearhold.ledger.model import Cadence, Leaf, LedgerReport, Padding
from clearhold.ledger.public_log import PublicLog
from clearhold.ledger.sequencer import Sequencer
from clearhold.parties import wishes
from clearhold.parties.agreements import AgreementService
from clearhold.parties.contacts import ContactService
from clearhold.parties.invitations import InvitationService
from clearhold.parties.oversight import Oversight
from clearhold.parties.recipients import RecipientService
from clearhold.parties.service import PartyService
from clearhold.parties.signing_in import PartySignIn
from clearhold.parties.verification import VerificationService
from clearhold.parties.wishes import WishService
from clearhold.patches import service as patches_service
from clearhold.patches.backporting import LaboratoryPorter
from clearhold.patches.flows import Judging
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.porting import PORT, Porting
from clearhold.patches.service import PatchService
from clearhold.ports.clock import Clock
from clearhold.ports.engine import TaskEngine, attempt_of
from clearhold.ports.keys import KeyRing
from clearhold.ports.model import Model
from clearhold.ports.publisher import Publisher
from clearhold.remediation import exposure
from clearhold.remediation.exposure import ExposureCounts
from clearhold.remediation.flows import MATCH, Matching
from clearhold.remediation.service import RemediationService
from clearhold.scanning import live as live_scanning
from clearhold.scanning import queue as scan_queue
from clearhold.scanning.limits import Limits
from clearhold.scanning.live import LiveScanning
from clearhold.scanning.service import ScanningService
from clearhold.settings import MOST_BACKPORTS, Settings
from clearhold.store.database import migrate, open_engine
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.validation import affecting
from clearhold.validation import service as validation_service
from clearhold.validation.affecting import AffectedVersions
from clearhold.validation.builder import Laboratory
from clearhold.validation.examiner import Examiner, LaboratoryExaminer
from clearhold.validation.remote import SpoolExaminer
from clearhold.validation.service import ValidationService
from clearhold.validation.shelf import Shelf
from clearhold.validation.spool import Spool
from clearhold.vault.keeping import Guard, KeyKeeping
from clearhold.vault.service import Vault
from clearhold.wire.scan_passport import Signer
from clearhold.wire.signed_note import NoteSigner


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
    known = _known(settings, sessions, findings, ring=ring, engine=engine)
    material = CaseMaterial(findings)
    reactions = CaseReactions(sessions, material)
    laboratory = open_laboratory(settings)
    evidence_key = signing_key(settings.key_directory, "validation")
    validation, affected = _validation(
        settings, sessions, vault, findings, laboratory, key=evidence_key
    )
    discovery, watching = _discovery(
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
    _examine_and_compare(
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
    _judge_and_port(engine, settings, sessions, vault, material, laboratory=laboratory)
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
    _publish_and_match(
        engine,
        publication,
        matching,
        ExposureCounts(sessions, sharing=inventory_sharing, suggestions=scanning.suggestions),
    )
    contact = VendorContact(sessions, material)
    _heed_wishes_and_queues(engine, scanning, contact)
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


def _discovery(
    settings: Settings,
    sessions: Sessions,
    vault: Vault,
    *,
    scanning: ScanningService,
    findings: FindingService,
    validation: ValidationService,
    laboratory: Laboratory,
    engine: TaskEngine,
) -> tuple[DiscoveryService, Watching]:
    agents = AgentKeeping(sessions, vault, tokens_per_day=settings.model_tokens)
    searcher = LaboratorySearcher(
        laboratory,
        all_engines(open_model(settings), context=settings.model_context),
        lists=RegistryReleases(settings.cache_directory, also=settings.source_networks),
        repositories=GitRepositories(also=settings.source_networks),
    )
    discovery = DiscoveryService(
        sessions,
        vault,
        scanning,
        searcher=searcher,
        agents=agents,
        models=FindingModels(sessions, vault, findings, validation),
    )
    watching = Watching(sessions, vault, scanning, discovery, releases=searcher)
    engine.register(LOOK, watching.look)
    engine.register(campaigns.REPORT, AgentReports(sessions, discovery, agents, findings).report)
    engine.register(campaigns.RUN, lambda ids: discovery.run(DiscoveryId(ids["campaign"])))
    return discovery, watching


def _known(
    settings: Settings,
    sessions: Sessions,
    findings: FindingService,
    *,
    ring: KeyRing,
    engine: TaskEngine,
) -> KnownService:
    shelf = Shelf(settings.recipe_directory)

    def public_files(package: Purl) -> Iterable[bytes]:
        recipe = shelf.find(str(package))
        return () if recipe is None else recipe.files.values()

    def public_name(unit: UnitOfWork, finding: FindingId) -> str | None:
        case = findings.head(unit, finding).case
        return None if case is None else advisory_records.published_of(unit, case)

    second = None
    if settings.known_second:
        second = HttpSecondKey(
            settings.known_second,
            secret_in(settings.key_directory / "known-second", "The second holder's token"),
        )
    known = KnownService(
        sessions,
        findings,
        ring=ring,
        second=second,
        quotas=Quotas(settings.known_questions, settings.known_claims),
        public_files=public_files,
        public_name=public_name,
    )
    engine.register(known_service.INDEX, known.index)
    return known


def open_model(settings: Settings) -> Model | None:
    """The model that the settings name, if any."""
    if not settings.model_url:
        return None
    file = settings.model_key_file
    return OpenAiModel(
        settings.model_url,
        settings.model_name,
        key=secret_in(Path(file), "The model's key") if file else "",
        also=settings.model_networks,
    )


def log_signer(settings: Settings) -> NoteSigner:
    """What signs the checkpoints of the public log."""
    return NoteSigner(settings.log_name, signing_key(settings.key_directory, "log"))


def log_padding(ring: KeyRing) -> Padding:
    """The entries of the log that belong to no leaf, which only the ring's key tells from others."""
    return lambda place: ring.keyed_hash("ledger padding", place.to_bytes(8, "big"))


def open_ring(settings: Settings) -> KeyRing:
    """The key ring that the settings choose."""
    if settings.key_ring == "pkcs11":
        return Pkcs11KeyRing(
            settings.pkcs11_module,
            token=settings.pkcs11_token,
            pin_file=settings.pkcs11_pin_file,
            lock_directory=settings.key_directory,
        )
    return FileKeyRing(settings.key_directory / "ring.json", data_directory=settings.data_directory)


def _publish_and_match(
    engine: TaskEngine, publication: Publication, matching: Matching, counts: ExposureCounts
) -> None:
    def uploaded(ids: Mapping[str, str]) -> None:
        matching.rematch(ids)
        counts.uploaded(ids)

    engine.register(PUBLISH, publication.publish)
    engine.register(SWEEP, publication.sweep)
    engine.register(MATCH, matching.match)
    engine.register(f"on:{PUBLISHED}", matching.match)
    engine.register(f"on:{UPLOADED}", uploaded)
    engine.register(f"on:{sharing.CHANGED}", counts.changed)
    engine.register(exposure.COUNT, counts.count)


def _examine_and_compare(
    engine: TaskEngine,
    validation: ValidationService,
    affected: AffectedVersions,
    *,
    reviews: ReviewService,
    reactions: CaseReactions,
    known: KnownService,
) -> None:
    def submitted(ids: Mapping[str, str]) -> None:
        validation.queue(FindingId(ids["finding"]))
        if "submission" not in ids:  # else it was compared with all that came together
            reviews.propose(FindingId(ids["finding"]))

    def validated(ids: Mapping[str, str]) -> None:
        reviews.join_copies(FindingId(ids["finding"]))
        reactions.on_validated(ids)
        validation.queue_root_cause(FindingId(ids["finding"]), key=ids["validation"])
        affected.queue(FindingId(ids["finding"]), key=ids["validation"])
        known.on_decided(ids)

    engine.register("on:finding.submitted", submitted)
    engine.register("on:validation.decided", validated)


def _heed_wishes_and_queues(
    engine: TaskEngine, scanning: ScanningService, contact: VendorContact
) -> None:
    def wished(ids: Mapping[str, str]) -> None:
        scanning.heed(ids)
        contact.heed(ids)

    engine.register(f"on:{wishes.CHANGED}", wished)
    engine.register(RELEASE, contact.release)
    engine.register(scan_queue.SERVE, scanning.queue.serve)


def _validation(
    settings: Settings,
    sessions: Sessions,
    vault: Vault,
    findings: FindingService,
    laboratory: Laboratory,
    *,
    key: Ed25519PrivateKey,
) -> tuple[ValidationService, AffectedVersions]:
    """What judges proofs, and what replays them over releases: both ask and sign alike."""
    examiner = _examiner(settings, laboratory)
    return (
        ValidationService(sessions, vault, findings, examiner=examiner, signing_key=key),
        AffectedVersions(
            sessions,
            vault,
            findings,
            examiner=examiner,
            signing_key=key,
            builds=settings.affected_builds,
        ),
    )


def _judge_and_port(
    engine: TaskEngine,
    settings: Settings,
    sessions: Sessions,
    vault: Vault,
    material: CaseMaterial,
    *,
    laboratory: Laboratory,
) -> None:
    """Candidate fixes are judged, and accepted ones brought to other versions, on this machine."""
    judge = LaboratoryJudge(laboratory)
    most = settings.backport_versions
    judging = Judging(sessions, vault, material, judge, onward=most > 0)
    engine.register(patches_service.JUDGE, judging.judge)
    lists = RegistryReleases(settings.cache_directory, also=settings.source_networks)
    porter = LaboratoryPorter(laboratory, judge, lists, most=most or MOST_BACKPORTS)
    engine.register(PORT, Porting(sessions, vault, material, porter).run)


def _examiner(settings: Settings, laboratory: Laboratory) -> Examiner:
    """Who examines reports: the workers of a spool, or this machine."""
    if not settings.validation_spool:
        return LaboratoryExaminer(
            laboratory, RegistryReleases(settings.cache_directory, also=settings.source_networks)
        )
    return SpoolExaminer(Spool(Path(settings.validation_spool)), settings.workers_directory)


def open_laboratory(settings: Settings) -> Laboratory:
    """The laboratory of this machine: its sandbox, its sources and their cache."""
    forbidden = (settings.data_directory, settings.key_directory)
    sandbox = StrongestSandbox(forbidden=forbidden, slots=settings.heavy_slots * 2)
    # A pool and users of their own: builds neither hold up runs nor share a user with them.
    builders = StrongestSandbox(
        forbidden=forbidden, slots=settings.heavy_slots, first_uid=BUILDERS_UID
    )
    cache = settings.cache_directory
    sources = CachedSources(
        cache / "sources",
        origins=all_origins(cache, also=settings.source_networks),
    )
    return Laboratory(
        sandbox,
        sources,
        cache,
        least=settings.least_tier,
        least_code=settings.least_tier_code,
        builders=builders,
        recipes=Shelf(settings.recipe_directory),
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
