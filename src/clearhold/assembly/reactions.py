"""Who reacts to what: events and queued work of one module that others to its right heed."""

from __future__ import annotations

from collections.abc import Mapping

from clearhold.advisories.flows import PUBLISHED, SWEEP, Publication
from clearhold.advisories.service import PUBLISH
from clearhold.cases.contact import RELEASE, VendorContact
from clearhold.cases.reactions import CaseReactions
from clearhold.findings.known.service import KnownService
from clearhold.findings.review import ReviewService
from clearhold.inventory import sharing
from clearhold.inventory.service import UPLOADED
from clearhold.kernel.ids import FindingId
from clearhold.parties import wishes
from clearhold.ports.engine import TaskEngine
from clearhold.remediation import exposure
from clearhold.remediation.exposure import ExposureCounts
from clearhold.remediation.flows import MATCH, Matching
from clearhold.scanning import queue as scan_queue
from clearhold.scanning.service import ScanningService
from clearhold.validation.affecting import AffectedVersions
from clearhold.validation.service import ValidationService


def publish_and_match(
    engine: TaskEngine, publication: Publication, matching: Matching, counts: ExposureCounts
) -> None:
    """Advisories go out, and inventories are matched, when either changes."""

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


def examine_and_compare(
    engine: TaskEngine,
    validation: ValidationService,
    affected: AffectedVersions,
    *,
    reviews: ReviewService,
    reactions: CaseReactions,
    known: KnownService,
) -> None:
    """A finding is examined and compared when it came, and its verdict is heeded."""

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


def heed_wishes_and_queues(
    engine: TaskEngine, scanning: ScanningService, contact: VendorContact
) -> None:
    """Maintainers' wishes hold from when they are changed; scans are served in turn."""

    def wished(ids: Mapping[str, str]) -> None:
        scanning.heed(ids)
        contact.heed(ids)

    engine.register(f"on:{wishes.CHANGED}", wished)
    engine.register(RELEASE, contact.release)
    engine.register(scan_queue.SERVE, scanning.queue.serve)
