"""Who takes part in the case that most tests here start from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.cases.model import Role
from clearhold.kernel.ids import CaseId, FindingId

MAINTAINER = "quux-team"
SECRETS = ("quuxlib", "Overflow-in-quux", "boundless copy", "PROOF-BYTES")


@dataclass(frozen=True, slots=True)
class Scene:
    """Everyone of a case that is open, and the two findings it links."""

    hub: Hub
    case: CaseId
    coordinator: Actor
    maintainer: Actor
    lab: Actor
    finder: Actor
    stranger: Actor
    findings: tuple[FindingId, FindingId]

    def read_in_maintainer(self) -> None:
        self.hub.readers.read_in(
            self.coordinator,
            self.case,
            MAINTAINER,
            role=Role.VENDOR,
            tier=1,
            reason="maintains it",
        )

    def agree_embargo(self, until: datetime) -> str:
        """Coordinator proposes and the maintainer, read in, accepts; returns the embargo."""
        self.read_in_maintainer()
        shown = self.hub.embargoes.propose(self.coordinator, self.case, until=until)
        assert shown.proposal is not None
        self.hub.embargoes.accept(self.maintainer, self.case, shown.proposal.id)
        return shown.proposal.id
