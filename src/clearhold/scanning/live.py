"""The services for live systems, made together: they share one desk."""

from __future__ import annotations

from dataclasses import dataclass

from clearhold.access.throttle import Throttle
from clearhold.scanning.authorisations import Authorisations, AuthorisationService
from clearhold.scanning.emergency import EmergencyService, Stops
from clearhold.scanning.live_desk import LiveDesk
from clearhold.scanning.live_leases import LiveLeaseService
from clearhold.scanning.passports import PassportService, PublicCheck
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Vault
from clearhold.wire.scan_passport import Signer


@dataclass(frozen=True, slots=True)
class LiveScanning:
    """All there is to do about scans of live systems."""

    authorisations: AuthorisationService
    leases: LiveLeaseService
    passports: PassportService
    emergency: EmergencyService
    check: PublicCheck


def make(sessions: Sessions, vault: Vault, signer: Signer, throttle: Throttle) -> LiveScanning:
    """The services on one database; `throttle` counts the noes of the public check alone."""
    desk = LiveDesk(vault)
    authorisations, stops = Authorisations(desk), Stops(desk)
    return LiveScanning(
        AuthorisationService(sessions, desk, authorisations),
        LiveLeaseService(sessions, desk, authorisations, stops),
        PassportService(sessions, desk, authorisations, stops, signer),
        EmergencyService(sessions, desk, stops),
        PublicCheck(sessions, desk, signer, throttle),
    )
