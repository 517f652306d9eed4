"""Whether a scan passport holds for a probe that was seen: pure, for who has files alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from clearhold.kernel.errors import InvalidError
from clearhold.scanning.live_scope import cover, make_targets
from clearhold.scanning.live_targets import Addresses, Target, parse_target
from clearhold.wire.scan_passport import Passport, StatusList, instant

CLOCKS_APART: Final = timedelta(seconds=30)
"""How far a reader's clock may be behind the hub's; a passport is never read beyond its end."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What was seen: at which target, from which address, by whose owner, by which technique.

    What is None was not looked at, and is not judged.
    """

    audience: str | None = None
    target: Target | None = None
    source: Addresses | None = None
    technique: str | None = None


def source_of(text: str) -> Addresses:
    """The address a probe came from; raises `InvalidError` when it is none."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError as error:
        raise InvalidError("That is not the address of a source.") from error
    where = parse_target(f"host:{f'[{address}]' if address.version == 6 else address}").where
    if not isinstance(where, Addresses):
        raise InvalidError("That is not the address of a source.")
    return where


def sources_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Source networks in their canonical form; raises `InvalidError`."""
    found = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text.strip())
        except ValueError as error:
            raise InvalidError(
                "A source is an address or a network.", next_step="Write 192.0.2.7 or 192.0.2.0/28."
            ) from error
        found.append(parse_target(f"network:{network}").text.removeprefix("network:"))
    return tuple(dict.fromkeys(found))


def faults(
    passport: Passport, status: StatusList | None, probe: Probe, now: datetime
) -> tuple[str, ...]:
    """Why a passport does not hold for a probe now, in sentences; empty when it does."""
    return (*_status_faults(passport, status, now), *faults_beside_status(passport, probe, now))


def faults_beside_status(passport: Passport, probe: Probe, now: datetime) -> tuple[str, ...]:
    """As `faults`, for who knows otherwise whether it was revoked."""
    found = []
    if now + CLOCKS_APART < instant(passport.nbf):
        found.append("The passport is not valid yet.")
    if now >= instant(passport.exp):
        found.append("The passport has expired.")
    if probe.audience is not None and passport.aud != probe.audience:
        found.append("The passport is for the systems of another owner.")
    return (*found, *_out_of_scope(passport, probe))


def _status_faults(passport: Passport, status: StatusList | None, now: datetime) -> tuple[str, ...]:
    if status is None:
        return ("There is no status list, so the passport may be revoked.",)
    if status.uri != passport.reference.uri:
        return ("The status list is that of other passports.",)
    if now >= status.expires_at or now + CLOCKS_APART < status.issued_at:
        return ("The status list is stale; fetch a new one.",)
    if status.revoked(passport.reference.idx):
        return ("The passport is revoked.",)
    return ()


def _out_of_scope(passport: Passport, probe: Probe) -> tuple[str, ...]:
    found = []
    try:
        targets = make_targets(passport.scan.targets)
        sources = [parse_target(f"network:{each}").where for each in passport.scan.sources]
    except InvalidError:
        return ("The passport names targets in a form this reader does not know.",)
    if probe.target is not None and not cover(targets, (probe.target,)):
        found.append("The target is not one of the passport's.")
    if probe.source is not None and not any(each.contains(probe.source) for each in sources):
        found.append("The source is not one of the passport's.")
    if probe.technique is not None and passport.scan.technique != probe.technique:
        found.append("The technique is not the passport's.")
    return tuple(found)
