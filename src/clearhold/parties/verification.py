"""Showing that a domain or repository is one's own, by publishing what the hub asks for there.

What was shown lasts a year. While it lasts nobody else takes it: who shows the same becomes a
challenger, and a coordinator settles it with a reason. What cannot be shown that way, such as a
package of a registry, a coordinator confirms with a reason.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Final

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.kernel.errors import ClearholdError, ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import PartyId
from clearhold.parties import records as parties
from clearhold.parties import standing_records as records
from clearhold.parties import subjects
from clearhold.parties.standing_records import Challenge, Representation
from clearhold.parties.subjects import Subject, SubjectKind
from clearhold.ports.pages import PageReader
from clearhold.store.unit_of_work import Sessions, UnitOfWork

LASTS: Final = timedelta(days=365)
CHALLENGE_LASTS: Final = timedelta(days=7)
PAUSE: Final = timedelta(seconds=10)
MOST_OPEN: Final = 20
LONGEST_REASON: Final = 200
PATH: Final = ".well-known/clearhold-challenge"
_HOSTS: Final = {
    "github.com": "https://raw.githubusercontent.com/{path}/HEAD/",
    "gitlab.com": "https://gitlab.com/{path}/-/raw/HEAD/",
}


def address_of(subject: str) -> str:
    """Where a challenge for a domain or repository is published."""
    about = subjects.parse(subject)
    if about.kind is SubjectKind.DOMAIN:
        return f"https://{about.name}/{PATH}"
    host, _, path = about.name.removeprefix("https://").partition("/")
    return _HOSTS[host].format(path=path) + PATH


class VerificationService:
    """The register of who stands for what."""

    def __init__(self, sessions: Sessions, pages: PageReader) -> None:
        self._sessions = sessions
        self._pages = pages

    def challenge(self, actor: Actor, subject: str) -> Challenge:
        """What to publish to show that a domain or repository is the actor's; open for a week.

        Asking again answers the same. Raises `InvalidError` for anything but those two.
        """
        actor.need(Permission.PARTIES_WISH)
        about = _shown_by_publishing(subject)
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            waiting = records.open_challenges(unit, actor.party)
            for each in waiting:
                if each.subject == about.text:
                    return each
            if len(waiting) >= MOST_OPEN:
                raise ConflictError(f"A party has at most {MOST_OPEN} open challenges.")
            new = Challenge(
                actor.party,
                about.text,
                f"clearhold-{secrets.token_urlsafe(32)}",
                unit.now,
                unit.now + CHALLENGE_LASTS,
                None,
            )
            records.put_challenge(unit, new)
            return new

    def check(self, actor: Actor, subject: str) -> Representation:
        """Look whether a challenge was met; then the party stands for the subject for a year.

        Raises `NotFoundError` without an open challenge, `ConflictError` when what is published is
        something else or another party stands for it, and `UnavailableError` when nothing can be
        read there.
        """
        actor.need(Permission.PARTIES_WISH)
        about = _shown_by_publishing(subject)
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            asked = _open(unit, actor.party, about)
            if asked.tried_at is not None and unit.now - asked.tried_at < PAUSE:
                raise ConflictError(
                    "That was looked at a moment ago.", next_step="Wait ten seconds, try again."
                )
            records.put_challenge(unit, replace(asked, tried_at=unit.now))
        # Outside of any transaction: a stranger's slow server must hold up nobody.
        page = self._pages.read(address_of(about.text))
        lines = (line.strip() for line in page.splitlines())
        if not any(hmac.compare_digest(line, asked.nonce.encode()) for line in lines):
            raise ConflictError(
                "What is published there is something else.",
                next_step=f"Publish the line {asked.nonce} at {address_of(about.text)}.",
            )
        with self._sessions.transaction() as unit:
            if _open(unit, actor.party, about).nonce != asked.nonce:
                raise _no_challenge()
            records.drop_challenge(unit, actor.party, about.text)
            answer = self._shown(unit, actor, about)
        if isinstance(answer, ClearholdError):  # raised after the commit: the dispute stays noted
            raise answer
        return answer

    def confirm(self, actor: Actor, party: PartyId, subject: str, *, reason: str) -> Representation:
        """Say as a coordinator that a party stands for something, for a year.

        It settles a dispute and takes the subject from whoever held it. `reason` is kept in plain
        words in the ledger. Raises `NotFoundError` for an unknown party.
        """
        actor.need(Permission.PARTIES_WRITE)
        _check_reason(reason)
        about = subjects.parse(subject)
        with self._sessions.transaction() as unit:
            if not parties.listing(unit, actor, party):
                raise NotFoundError("There is no such party.")
            new = _new(unit, about, party, "coordinator")
            _put(unit, new)
            _tell(unit, actor, about, "confirm", party=party, reason=reason)
            return new

    def end(self, actor: Actor, subject: str, *, reason: str = "") -> Representation:
        """Stand for something no longer: one's own, or as a coordinator, with a reason, another's.

        Wishes that rest on it count no more. Raises `NotFoundError`.
        """
        about = subjects.parse(subject)
        with self._sessions.transaction() as unit:
            known = records.holder(unit, about.text)
            own = known is not None and known.party == actor.party
            actor.need(Permission.PARTIES_WISH if own else Permission.PARTIES_WRITE)
            if known is None or known.expires_at <= unit.now:
                raise NotFoundError("Nobody stands for that.")
            if not own:
                _check_reason(reason)
            records.change_holder(unit, about.text, expires_at=unit.now)
            _tell(unit, actor, about, "end", party=known.party, reason=reason)
            return replace(known, expires_at=unit.now)

    def list(self, actor: Actor) -> tuple[Representation, ...]:
        """What the actor's party stands for; for coordinators, who stands for what."""
        actor.need(Permission.PARTIES_STANDING)
        with self._sessions.transaction() as unit:
            return records.representations(unit, actor)

    def _shown(
        self, unit: UnitOfWork, actor: Actor, about: Subject
    ) -> Representation | ClearholdError:
        new = _new(unit, about, actor.party, "published")
        known = None if records.put_holder(unit, new) else records.holder(unit, about.text)
        if known is not None and known.party != actor.party and known.expires_at > unit.now:
            if known.challenger is not None and known.challenger != actor.party:
                return _taken()
            records.change_holder(unit, about.text, challenger=actor.party, challenged_at=unit.now)
            _tell(unit, actor, about, "dispute", party=actor.party)
            return _taken()
        if known is not None:
            again = known.party == actor.party and known.expires_at > unit.now
            new = replace(
                new,
                since=known.since if again else unit.now,
                challenger=known.challenger if again else None,
                challenged_at=known.challenged_at if again else None,
            )
            _change(unit, new)
        _tell(unit, actor, about, "verify", party=actor.party)
        return new


def _new(unit: UnitOfWork, about: Subject, party: PartyId, method: str) -> Representation:
    return Representation(about.text, party, method, unit.now, unit.now + LASTS)


def _put(unit: UnitOfWork, new: Representation) -> None:
    if not records.put_holder(unit, new):
        records.holder(unit, new.subject)
        _change(unit, new)


def _change(unit: UnitOfWork, new: Representation) -> None:
    records.change_holder(
        unit,
        new.subject,
        party=new.party,
        method=new.method,
        since=new.since,
        expires_at=new.expires_at,
        challenger=new.challenger,
        challenged_at=new.challenged_at,
    )


def _shown_by_publishing(subject: str) -> Subject:
    about = subjects.parse(subject)
    if about.kind in {SubjectKind.PACKAGE, SubjectKind.NETWORK}:
        raise InvalidError(
            f"A {about.kind} cannot be shown to be yours by publishing something.",
            next_step="Verify its domain or repository, or ask your coordinator to confirm it.",
        )
    return about


def _open(unit: UnitOfWork, party: PartyId, about: Subject) -> Challenge:
    for each in records.open_challenges(unit, party):
        if each.subject == about.text:
            return each
    raise _no_challenge()


def _no_challenge() -> NotFoundError:
    return NotFoundError(
        "There is no open challenge for that.", next_step="Begin with `clearhold party verify`."
    )


def _taken() -> ConflictError:
    return ConflictError(
        "Another party has shown this already.",
        next_step="Your proof is noted; your coordinator settles it, or it expires within a year.",
    )


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise InvalidError(f"A reason is one line of 1 to {LONGEST_REASON} characters.")


def _tell(unit: UnitOfWork, actor: Actor, about: Subject, act: str, **detail: str) -> None:
    unit.record(
        f"parties:standing:{act}",
        actor=actor.principal,
        subject=about.text,
        detail={name: value for name, value in detail.items() if value},
    )
