"""Every permission there is, and which kind of party and which role in it holds which.

Names read module:resource:action. A permission lets a caller try; what they then see is decided
row by row by each module's `visible_to`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class PartyKind(StrEnum):
    """What a party is in the clearinghouse."""

    LAB = "lab"
    FINDER = "finder"
    MAINTAINER = "maintainer"
    VENDOR = "vendor"
    OPERATOR = "operator"
    EVALUATOR = "evaluator"
    GOVERNMENT = "government"
    COORDINATOR = "coordinator"


class MemberRole(StrEnum):
    """What a person or service account is in its party; several add up."""

    ADMIN = "admin"
    HANDLER = "handler"
    VIEWER = "viewer"


class Permission(StrEnum):
    """What a token may be allowed to do."""

    ACCESS_APPROVE = "access:approval:give"
    ACCESS_READ = "access:approval:read"
    ACCOUNT_READ = "access:account:read"
    ACCOUNT_WRITE = "access:account:write"
    ADVISORIES_PUBLISH = "advisories:advisory:publish"
    ADVISORIES_READ = "advisories:advisory:read"
    ADVISORIES_WRITE = "advisories:advisory:write"
    CASES_CONSENT = "cases:embargo:consent"
    CASES_OPEN = "cases:case:open"
    CASES_READ = "cases:case:read"
    CASES_READ_IN = "cases:participant:read-in"
    CASES_SEAL = "cases:sealed:write"
    CATALOGUE_READ = "catalogue:target:read"
    CATALOGUE_WRITE = "catalogue:target:write"
    DISCOVERY_READ = "discovery:campaign:read"
    DISCOVERY_RUN = "discovery:campaign:run"
    EVALUATIONS_AGREE = "evaluations:agreement:sign"
    EVALUATIONS_READ = "evaluations:engagement:read"
    EVALUATIONS_RUN = "evaluations:engagement:run"
    FINDINGS_JUDGE = "findings:match:judge"
    FINDINGS_QUEUE = "findings:queue:read"
    FINDINGS_READ = "findings:finding:read"
    FINDINGS_SUBMIT = "findings:finding:submit"
    INVENTORY_READ = "inventory:inventory:read"
    INVENTORY_WRITE = "inventory:inventory:write"
    LEDGER_LODGE = "ledger:commitment:lodge"
    LEDGER_READ = "ledger:leaf:read"
    LEDGER_VERIFY = "ledger:chain:verify"
    PARTIES_ACCEPT = "parties:agreement:accept"
    PARTIES_AGREEMENTS = "parties:agreement:read"
    PARTIES_KEYS = "parties:key:write"
    PARTIES_MEMBERS = "parties:member:write"
    PARTIES_OVERSEE = "parties:release:read"
    PARTIES_PUBLISH = "parties:agreement:publish"
    PARTIES_READ = "parties:party:read"
    PARTIES_STANDING = "parties:standing:read"
    PARTIES_WISH = "parties:standing:write"
    PARTIES_WRITE = "parties:party:write"
    PATCHES_READ = "patches:candidate:read"
    PATCHES_SUBMIT = "patches:candidate:submit"
    REMEDIATION_READ = "remediation:action:read"
    REMEDIATION_REPORT = "remediation:receipt:submit"
    SCANNING_CLAIM = "scanning:lease:claim"
    SCANNING_READ = "scanning:lease:read"
    SCANNING_REVOKE = "scanning:lease:revoke"
    SCANNING_STOP = "scanning:live:stop"
    VALIDATION_READ = "validation:validation:read"
    VALIDATION_REPEAT = "validation:validation:repeat"


_OWN: Final = frozenset({Permission.ACCOUNT_READ, Permission.ACCOUNT_WRITE})
WITHOUT_AGREEMENT: Final = _OWN | frozenset(
    {
        Permission.LEDGER_READ,
        Permission.PARTIES_ACCEPT,
        Permission.PARTIES_AGREEMENTS,
        Permission.PARTIES_KEYS,
        Permission.PARTIES_MEMBERS,
        Permission.PARTIES_READ,
        Permission.SCANNING_STOP,
    }
)
"""What needs no agreement: reading and accepting them, one's own account, people and leaves, and
stopping scans of one's own systems or heeding that one was stopped."""

_EVERYBODY: Final = WITHOUT_AGREEMENT | {
    Permission.ADVISORIES_READ,
    Permission.CASES_CONSENT,
    Permission.CASES_READ,
    Permission.CASES_SEAL,
    Permission.CATALOGUE_READ,
    Permission.PARTIES_STANDING,
    Permission.PARTIES_WISH,
}
_FINDERS: Final = _EVERYBODY | {
    Permission.DISCOVERY_READ,
    Permission.DISCOVERY_RUN,
    Permission.FINDINGS_READ,
    Permission.FINDINGS_SUBMIT,
    Permission.LEDGER_LODGE,
    Permission.PATCHES_READ,
    Permission.PATCHES_SUBMIT,
    Permission.SCANNING_CLAIM,
    Permission.SCANNING_READ,
    Permission.VALIDATION_READ,
    Permission.VALIDATION_REPEAT,
}

_TESTING: Final = frozenset(
    {
        Permission.EVALUATIONS_AGREE,
        Permission.EVALUATIONS_READ,
        Permission.EVALUATIONS_RUN,
    }
)
_MENDERS: Final = _EVERYBODY | {
    Permission.FINDINGS_READ,
    Permission.LEDGER_LODGE,
    Permission.PATCHES_READ,
    Permission.PATCHES_SUBMIT,
    Permission.VALIDATION_READ,
    Permission.VALIDATION_REPEAT,
}

PERMISSIONS: Final[dict[PartyKind, frozenset[Permission]]] = {
    PartyKind.LAB: _FINDERS | _TESTING,
    PartyKind.FINDER: _FINDERS,
    PartyKind.MAINTAINER: _MENDERS,
    PartyKind.VENDOR: _MENDERS,
    PartyKind.EVALUATOR: _EVERYBODY | _TESTING,
    PartyKind.GOVERNMENT: _EVERYBODY | _TESTING,
    PartyKind.OPERATOR: _EVERYBODY
    | {
        Permission.INVENTORY_READ,
        Permission.INVENTORY_WRITE,
        Permission.REMEDIATION_READ,
        Permission.REMEDIATION_REPORT,
    },
    PartyKind.COORDINATOR: _EVERYBODY
    | {
        Permission.ACCESS_APPROVE,
        Permission.ACCESS_READ,
        Permission.ADVISORIES_PUBLISH,
        Permission.ADVISORIES_WRITE,
        Permission.CASES_OPEN,
        Permission.CASES_READ_IN,
        Permission.CATALOGUE_WRITE,
        Permission.FINDINGS_JUDGE,
        Permission.FINDINGS_QUEUE,
        Permission.FINDINGS_READ,
        Permission.LEDGER_VERIFY,
        Permission.PARTIES_OVERSEE,
        Permission.PARTIES_PUBLISH,
        Permission.PARTIES_WRITE,
        Permission.PATCHES_READ,
        Permission.PATCHES_SUBMIT,
        Permission.REMEDIATION_READ,
        Permission.SCANNING_REVOKE,
        Permission.VALIDATION_READ,
        Permission.VALIDATION_REPEAT,
    },
}

_OWN_RESULTS: Final = frozenset(
    {
        Permission.DISCOVERY_READ,
        Permission.FINDINGS_READ,
        Permission.SCANNING_READ,
        Permission.VALIDATION_READ,
    }
)
_OWN_MATERIAL: Final[dict[PartyKind, frozenset[Permission]]] = {
    PartyKind.LAB: _OWN_RESULTS,
    PartyKind.FINDER: _OWN_RESULTS,
    PartyKind.OPERATOR: frozenset({Permission.INVENTORY_READ, Permission.REMEDIATION_READ}),
}
"""What shows a party nothing but its own, and stays open once an agreement no longer is in force.

A maintainer's findings are those of others, so nothing of the kind is here.
"""

STEP_UP: Final = frozenset(
    {
        Permission.ACCESS_APPROVE,
        Permission.ADVISORIES_PUBLISH,
        Permission.ADVISORIES_WRITE,
        Permission.CASES_CONSENT,
        Permission.CASES_OPEN,
        Permission.CASES_READ,
        Permission.CASES_READ_IN,
        Permission.DISCOVERY_READ,
        Permission.EVALUATIONS_AGREE,
        Permission.EVALUATIONS_READ,
        Permission.EVALUATIONS_RUN,
        Permission.FINDINGS_JUDGE,
        Permission.FINDINGS_READ,
        Permission.PARTIES_ACCEPT,
        Permission.PARTIES_KEYS,
        Permission.PARTIES_MEMBERS,
        Permission.PARTIES_PUBLISH,
        Permission.PARTIES_WRITE,
        Permission.PATCHES_READ,
        Permission.VALIDATION_READ,
    }
)
"""What a session must be confirmed for: it releases what is under embargo, or decides who sees it."""

_ADMINS: Final = frozenset({Permission.PARTIES_ACCEPT, Permission.PARTIES_MEMBERS})


def held(kind: PartyKind, roles: Iterable[MemberRole]) -> frozenset[Permission]:
    """What somebody with `roles` in a party of this kind may do at most."""
    most = PERMISSIONS[kind]
    of_role = {
        MemberRole.ADMIN: _ADMINS
        | {
            Permission.LEDGER_READ,
            Permission.PARTIES_AGREEMENTS,
            Permission.PARTIES_KEYS,
            Permission.PARTIES_READ,
            Permission.SCANNING_STOP,
        },
        MemberRole.HANDLER: most - _ADMINS,
        MemberRole.VIEWER: {each for each in most if each.endswith(":read")},
    }
    return most & _OWN.union(*(of_role[role] for role in roles))


def opened(
    kind: PartyKind, in_force: Iterable[str], lapsed: Iterable[str] = ()
) -> frozenset[Permission]:
    """What the agreements of a party let it do: all of those in force, its own of those that lapsed.

    Coordinators run the hub and are bound by no agreement of it.
    """
    if kind is PartyKind.COORDINATOR:
        return PERMISSIONS[kind]
    now = PERMISSIONS[kind].intersection(in_force)
    return WITHOUT_AGREEMENT | now | _OWN_MATERIAL.get(kind, frozenset()).intersection(lapsed)
