"""How a party is told of a vulnerability: its disclosure routes, which it keeps itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import PartyId
from clearhold.parties import standing_records as records
from clearhold.parties import subjects
from clearhold.ports.pages import PageReader
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire import security_txt

MOST_EMAILS: Final = 10
_MAIL: Final = re.compile(r"[^@\s<>\"(),:;\\\[\]]{1,64}@[A-Za-z0-9.-]{1,253}")
_KEY: Final = re.compile(r"openpgp4fpr:[0-9A-Fa-f]{40}|age1[a-z0-9]{20,4000}")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


@dataclass(frozen=True, slots=True)
class Email:
    """An address with the key to encrypt to: `openpgp4fpr:` and 40 digits, or an age recipient."""

    address: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class PublishedRoutes:
    """What a domain's security.txt said when it was read."""

    domain: str
    contacts: tuple[str, ...]
    encryption: tuple[str, ...]
    policy: tuple[str, ...]
    languages: tuple[str, ...]
    expires: datetime
    signed: bool


@dataclass(frozen=True, slots=True)
class Routes:
    """All ways to reach a party: addresses, the page of its policy, languages, its security.txt."""

    emails: tuple[Email, ...] = ()
    policy: str | None = None
    languages: tuple[str, ...] = ()
    published: PublishedRoutes | None = None


NONE: Final = Routes()


class ContactService:
    """Where a party says how it wants to be told."""

    def __init__(self, sessions: Sessions, pages: PageReader) -> None:
        self._sessions = sessions
        self._pages = pages

    def write(
        self,
        actor: Actor,
        *,
        emails: tuple[Email, ...],
        policy: str | None,
        languages: tuple[str, ...],
    ) -> Routes:
        """Say how the actor's party is reached, in place of what it said; its security.txt stays.

        Raises `InvalidError` naming what cannot be.
        """
        actor.need(Permission.PARTIES_WISH)
        _check(emails, policy, languages)
        with self._sessions.transaction() as unit:
            known = _read(records.routes_of(unit, actor.party))
            new = replace(known, emails=emails, policy=policy, languages=languages)
            return self._put(unit, actor, new)

    def read_published(self, actor: Actor, domain: str) -> Routes:
        """Read the security.txt of a domain the actor's party stands for.

        Raises `ConflictError` when it does not stand for it or the file has expired,
        `UnavailableError` when there is none, and `InvalidError` when it breaks RFC 9116.
        """
        actor.need(Permission.PARTIES_WISH)
        about = subjects.of_domain(domain)
        with self._sessions.transaction() as unit:
            if records.basis_of(unit, actor.party, subjects.covering(about)) is None:
                raise ConflictError(
                    "Your party does not stand for that domain.",
                    next_step="Verify it with `clearhold party verify`.",
                )
        said = security_txt.read(self._pages.read(f"https://{about.name}/.well-known/security.txt"))
        with self._sessions.transaction() as unit:
            if said.expires <= unit.now:
                raise ConflictError(
                    "The security.txt has expired.", next_step="Renew its Expires, then try again."
                )
            published = PublishedRoutes(
                about.name,
                said.contacts,
                said.encryption,
                said.policy,
                said.languages,
                said.expires,
                said.signed,
            )
            known = _read(records.routes_of(unit, actor.party))
            return self._put(unit, actor, replace(known, published=published))

    def get(self, actor: Actor, party: PartyId) -> Routes:
        """How a party is reached: one's own, or as a coordinator anybody's.

        Raises `NotFoundError` alike for a party that said nothing and for one not to be seen.
        """
        actor.need(Permission.PARTIES_STANDING)
        with self._sessions.transaction() as unit:
            found = records.routes(unit, actor, party)
        if found is None:
            raise NotFoundError("Nothing is known of how to reach that party.")
        return _read(found)

    def _put(self, unit: UnitOfWork, actor: Actor, new: Routes) -> Routes:
        records.put_routes(unit, actor.party, _plain(new))
        unit.record("parties:routes:write", actor=actor.principal, subject=actor.party)
        return new


def routes_of(unit: UnitOfWork, party: PartyId) -> Routes:
    """How a party is reached, for those who already share a case with it."""
    return _read(records.routes_of(unit, party))


def _check(emails: tuple[Email, ...], policy: str | None, languages: tuple[str, ...]) -> None:
    if len(emails) > MOST_EMAILS or len(languages) > MOST_EMAILS:
        raise InvalidError(f"At most {MOST_EMAILS} addresses and languages are kept.")
    for each in emails:
        if _MAIL.fullmatch(each.address) is None or not each.address.isprintable():
            raise InvalidError("That is not an e-mail address.")
        if each.key is not None and _KEY.fullmatch(each.key) is None:
            raise InvalidError(
                "The key of an address is not one that is known here.",
                next_step="Write openpgp4fpr: and the 40 digits of its fingerprint, or an age "
                "recipient (age1…).",
            )
    if policy is not None and not _page(policy):
        raise InvalidError(
            "The policy is not the https address of a page.",
            next_step="Write it as https://example.org/SECURITY.md.",
        )
    if not all(_LANGUAGE.fullmatch(each) for each in languages):
        raise InvalidError("Languages are tags as en or de-CH.")


def _page(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    plain = len(address) <= 500 and address.isprintable() and " " not in address
    return plain and parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc


def _plain(routes: Routes) -> dict[str, Any]:
    said = routes.published
    return {
        "emails": [[each.address, each.key] for each in routes.emails],
        "policy": routes.policy,
        "languages": list(routes.languages),
        "published": None
        if said is None
        else {
            "domain": said.domain,
            "contacts": list(said.contacts),
            "encryption": list(said.encryption),
            "policy": list(said.policy),
            "languages": list(said.languages),
            "expires": said.expires.isoformat(),
            "signed": said.signed,
        },
    }


def _read(plain: dict[str, Any] | None) -> Routes:
    if plain is None:
        return NONE
    said = plain["published"]
    return Routes(
        emails=tuple(Email(address, key) for address, key in plain["emails"]),
        policy=plain["policy"],
        languages=tuple(plain["languages"]),
        published=None
        if said is None
        else PublishedRoutes(
            said["domain"],
            tuple(said["contacts"]),
            tuple(said["encryption"]),
            tuple(said["policy"]),
            tuple(said["languages"]),
            datetime.fromisoformat(said["expires"]),
            said["signed"],
        ),
    )
