"""What finds, proves, judges and ports in a hub, and the queued work of each."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.adapters.git_refs import GitRepositories
from clearhold.adapters.model_openai import OpenAiModel
from clearhold.adapters.release_lists import RegistryReleases
from clearhold.adapters.secret_file import secret_in
from clearhold.assembly.laboratory import open_examiner
from clearhold.cases.material import CaseMaterial
from clearhold.discovery import campaigns
from clearhold.discovery.agents.keeping import AgentKeeping
from clearhold.discovery.agents.reporting import AgentReports
from clearhold.discovery.searcher import LaboratorySearcher, all_engines
from clearhold.discovery.service import DiscoveryService
from clearhold.discovery.variants.flawed import FindingModels
from clearhold.discovery.watching import LOOK, Watching
from clearhold.findings.service import FindingService
from clearhold.kernel.ids import DiscoveryId
from clearhold.patches import service as patches_service
from clearhold.patches.backporting import LaboratoryPorter
from clearhold.patches.flows import Judging
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.porting import PORT, Porting
from clearhold.ports.engine import TaskEngine
from clearhold.ports.model import Model
from clearhold.scanning.service import ScanningService
from clearhold.settings import MOST_BACKPORTS, Settings
from clearhold.store.unit_of_work import Sessions
from clearhold.validation.affecting import AffectedVersions
from clearhold.validation.builder import Laboratory
from clearhold.validation.service import ValidationService
from clearhold.vault.service import Vault


def validation_of(
    settings: Settings,
    sessions: Sessions,
    vault: Vault,
    findings: FindingService,
    laboratory: Laboratory,
    *,
    key: Ed25519PrivateKey,
) -> tuple[ValidationService, AffectedVersions]:
    """What judges proofs, and what replays them over releases: both ask and sign alike."""
    examiner = open_examiner(settings, laboratory)
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


def judge_and_port(
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


def discovery_of(
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
    """What searches for flaws, and what watches releases to search anew."""
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
