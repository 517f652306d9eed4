"""Identifiers: UUID version 7 (RFC 9562 section 5.7) as text, so rows sort by time of birth."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime
from typing import NewType

PartyId = NewType("PartyId", str)
PersonId = NewType("PersonId", str)
PrincipalId = NewType("PrincipalId", str)
TokenId = NewType("TokenId", str)
InvitationId = NewType("InvitationId", str)
ApprovalId = NewType("ApprovalId", str)
BrowserSessionId = NewType("BrowserSessionId", str)
CeremonyId = NewType("CeremonyId", str)
EnrolmentId = NewType("EnrolmentId", str)
IdentityId = NewType("IdentityId", str)
PasskeyId = NewType("PasskeyId", str)
ProviderId = NewType("ProviderId", str)
RecoveryId = NewType("RecoveryId", str)
CompartmentId = NewType("CompartmentId", str)
LeaseId = NewType("LeaseId", str)
SubmissionId = NewType("SubmissionId", str)
FindingId = NewType("FindingId", str)
VulnerabilityId = NewType("VulnerabilityId", str)
ArtifactId = NewType("ArtifactId", str)
ValidationId = NewType("ValidationId", str)
DiscoveryId = NewType("DiscoveryId", str)
LeadId = NewType("LeadId", str)
WatchId = NewType("WatchId", str)
CaseId = NewType("CaseId", str)
SealedCaseId = NewType("SealedCaseId", str)
PatchId = NewType("PatchId", str)
AdvisoryId = NewType("AdvisoryId", str)
InventoryId = NewType("InventoryId", str)
ActionId = NewType("ActionId", str)
ReceiptId = NewType("ReceiptId", str)
ModelAgreementId = NewType("ModelAgreementId", str)
EngagementId = NewType("EngagementId", str)
EndpointId = NewType("EndpointId", str)
ModelGrantId = NewType("ModelGrantId", str)


def new_id(now: datetime) -> str:
    """A fresh UUIDv7 whose leading 48 bits are `now` in milliseconds since 1970."""
    milliseconds = int(now.timestamp() * 1000)
    value = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76
    value |= secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
