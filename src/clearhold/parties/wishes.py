"""Standing wishes: the one place where every other module asks what an owner wishes.

`for_package` and `for_domain` answer with the strictest of all wishes that apply. A wish is keyed
by a package URL, by all packages of a namespace, or by a domain, and counts as long as its maker
verifiably stands for that. What counts against a cap is counted by the module where it lives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.events import Event
from clearhold.kernel.ids import PartyId, new_id
from clearhold.kernel.purl import Purl
from clearhold.parties import records as parties
from clearhold.parties import standing_records as records
from clearhold.parties import subjects
from clearhold.parties.standing_records import StoredWish
from clearhold.parties.subjects import Subject, SubjectKind
from clearhold.parties.wish import Channel, Wishes, check, strictest
from clearhold.store.unit_of_work import Sessions, UnitOfWork

CHANGED: Final = "wish.changed"
MOST: Final = 200


def for_package(unit: UnitOfWork, package: Purl) -> Wishes:
    """What is wished about a package, whatever the version; the strictest when several apply."""
    about = subjects.covering(subjects.of_package(package))
    return strictest(each.wishes for each in records.wishes_about(unit, about))


def for_domain(unit: UnitOfWork, name: str) -> Wishes:
    """What is wished about a domain and all that lies above it. Raises `InvalidError`."""
    about = subjects.covering(subjects.of_domain(name))
    return strictest(each.wishes for each in records.wishes_about(unit, about))


def for_subjects(unit: UnitOfWork, about: Iterable[Subject]) -> Wishes:
    """What is wished about any of some subjects or what lies above them; the strictest."""
    covering = dict.fromkeys(each for subject in about for each in subjects.covering(subject))
    return strictest(each.wishes for each in records.wishes_about(unit, tuple(covering)))


def for_contact(
    unit: UnitOfWork, party: PartyId, kind: PartyKind, packages: Iterable[Purl]
) -> Wishes:
    """What is wished about reaching a party about some packages.

    Its own wishes about them and its domains count. What somebody else wishes about a package
    counts for whoever maintains it, not for a vendor who ships it and must mend its own.
    """
    about = dict.fromkeys(
        each for package in packages for each in subjects.covering(subjects.of_package(package))
    )
    found = records.wishes_about(unit, tuple(about), also_domains_of=party)
    return strictest(
        each.wishes for each in found if each.party == party or kind is PartyKind.MAINTAINER
    )


def any_stand(unit: UnitOfWork) -> bool:
    """Whether anybody wishes anything at all."""
    return records.any_wish(unit)


def channels_of(unit: UnitOfWork, party: PartyId) -> tuple[Channel, ...]:
    """How a party prefers to be reached, for those who already share a case with it."""
    return strictest(each.wishes for each in records.wishes_of(unit, party)).channels


def opted_out() -> ConflictError:
    """What everybody is told who means to scan what its owner does not want scanned."""
    return ConflictError(
        "The owner of this package does not want it scanned.",
        next_step="Leave it alone; look at something else.",
    )


class WishService:
    """Where a party says what it wishes."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def wish(self, actor: Actor, subject: str, wishes: Wishes) -> StoredWish:
        """Wish something about what the actor's party stands for, in place of an earlier wish.

        It counts from now on; leases on what is not to be scanned any more end. Raises
        `InvalidError` for a wish that is none and `ConflictError` when the party does not stand for
        the subject.
        """
        actor.need(Permission.PARTIES_WISH)
        check(wishes)
        about = subjects.parse(subject)
        if about.kind is SubjectKind.REPOSITORY:
            raise InvalidError(
                "A wish is about a package, a domain or a network.",
                next_step="Name the repository by its package URL, as pkg:github/owner/name.",
            )
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            basis = records.basis_of(unit, actor.party, subjects.covering(about))
            if basis is None:
                raise ConflictError(
                    "Your party does not stand for that.",
                    next_step="Verify its domain or repository with `clearhold party verify`, or "
                    "ask your coordinator to confirm it.",
                )
            mine = records.wishes_seen(unit, actor)
            if len(mine) >= MOST and all(each.subject != about.text for each in mine):
                raise ConflictError(f"A party has at most {MOST} wishes.")
            new = StoredWish(actor.party, about.text, basis, wishes, unit.now)
            for known in mine:
                if replace(known, made_at=unit.now) == new:
                    return known
            records.put_wish(unit, new)
            self._told(unit, actor, about.text, "make")
            return new

    def take_back(self, actor: Actor, subject: str) -> None:
        """Wish nothing any more about a subject. Raises `NotFoundError` when nothing was wished."""
        actor.need(Permission.PARTIES_WISH)
        about = subjects.parse(subject)
        with self._sessions.transaction() as unit:
            if not records.drop_wish(unit, actor.party, about.text):
                raise NotFoundError(
                    "You wish nothing about that.", next_step="See `clearhold party wishes`."
                )
            self._told(unit, actor, about.text, "take-back")

    def list(self, actor: Actor) -> tuple[StoredWish, ...]:
        """What the actor's party wishes, by subject."""
        actor.need(Permission.PARTIES_STANDING)
        with self._sessions.transaction() as unit:
            return records.wishes_seen(unit, actor)

    def _told(self, unit: UnitOfWork, actor: Actor, subject: str, act: str) -> None:
        detail = {"about": subject}
        unit.record(
            f"parties:wish:{act}", actor=actor.principal, subject=actor.party, detail=detail
        )
        ids = {"party": actor.party, "subject": subject}
        unit.publish(Event(CHANGED, new_id(unit.now), ids))
