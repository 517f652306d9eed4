"""Versioned terms, and how a party stands to them: pure rules."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from importlib import resources
from typing import Final

from clearhold.access.permissions import PERMISSIONS, WITHOUT_AGREEMENT, PartyKind, Permission
from clearhold.kernel.errors import ConflictError, InvalidError
from clearhold.kernel.ids import PartyId

LONGEST_TEXT: Final = 100_000
CLOCK_TOLERANCE: Final = timedelta(minutes=15)
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be published under a name: the text, what it opens and to which kinds of party.

    `reaccept_by` is when acceptances of earlier versions end; None leaves them in force.
    """

    text: str
    kinds: frozenset[PartyKind]
    opens: frozenset[Permission]
    reaccept_by: datetime | None = None

    @property
    def sha256(self) -> str:
        """The digest of the text, which an acceptance names."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Agreement:
    """One published version."""

    name: str
    version: int
    terms: Terms
    published_at: datetime


class Standing(StrEnum):
    """Where a party itself stands to an agreement it accepted once."""

    IN_FORCE = "in-force"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"


class Bar(StrEnum):
    """What a coordinator has laid on a party's agreement; only a coordinator takes it off."""

    SUSPENDED = "suspended-by-coordinator"
    ENDED = "ended"


class Act(StrEnum):
    """What may be done about an accepted agreement."""

    SUSPEND = "suspend"
    RESUME = "resume"
    WITHDRAW = "withdraw"
    END = "end"


@dataclass(frozen=True, slots=True)
class Adherence:
    """A party's relation to an agreement: the version it signed last and where that stands.

    `ends_at` is when a newer version that demands it takes the place of the signed one.
    """

    party: PartyId
    agreement: str
    version: int
    standing: Standing
    bar: Bar | None
    since: datetime
    ends_at: datetime | None = None

    @property
    def in_force(self) -> bool:
        """Whether it opens anything, its end by a newer version apart."""
        return self.standing is Standing.IN_FORCE and self.bar is None

    def status(self, now: datetime) -> str:
        """One word for people."""
        if self.bar is not None:
            return self.bar
        if self.in_force and self.ends_at is not None and self.ends_at <= now:
            return "superseded"
        return self.standing


def check_name(name: str) -> None:
    """Raise `InvalidError` unless an agreement may be called this."""
    if _NAME.fullmatch(name) is None:
        raise InvalidError(
            "An agreement's name is 3 to 40 lower-case letters, digits and hyphens.",
            next_step="Choose another name.",
        )


def check_terms(terms: Terms, now: datetime) -> None:
    """Raise `InvalidError` unless these can be published."""
    if not terms.text.strip() or len(terms.text) > LONGEST_TEXT or "\0" in terms.text:
        raise InvalidError(f"The text of an agreement has 1 to {LONGEST_TEXT} characters.")
    if not terms.kinds or PartyKind.COORDINATOR in terms.kinds:
        raise InvalidError(
            "An agreement is for at least one kind of party, and never for coordinators.",
            next_step="Name the kinds; who runs the hub needs no agreement with it.",
        )
    beyond = terms.opens - may_open(terms.kinds)
    if beyond or not terms.opens:
        named = ", ".join(sorted(beyond)) or "nothing"
        raise InvalidError(
            f"For these kinds of party an agreement cannot open {named}.",
            next_step="Open what at least one of the kinds may do.",
        )
    if terms.reaccept_by is not None and (
        terms.reaccept_by.tzinfo is None or terms.reaccept_by <= now
    ):
        raise InvalidError(
            "The date by which to accept anew lies in the past, or has no time zone.",
            next_step="Give the parties time: write it as 2027-03-01T00:00:00Z.",
        )


def may_open(kinds: Iterable[PartyKind]) -> frozenset[Permission]:
    """All that an agreement for these kinds can open."""
    return frozenset().union(*(PERMISSIONS[kind] for kind in kinds)) - WITHOUT_AGREEMENT


def accepted(
    known: Adherence | None, agreement: Agreement, party: PartyId, now: datetime
) -> Adherence:
    """How a party stands after it accepts; a suspension of its own it lifts by `resume`.

    Raises `ConflictError` while a coordinator bars it.
    """
    if known is not None:
        _check_unbarred(known)
        if known.standing is Standing.SUSPENDED and known.version == agreement.version:
            raise ConflictError("You have suspended this agreement.", next_step="Resume it.")
    return Adherence(party, agreement.name, agreement.version, Standing.IN_FORCE, None, now)


def acted(known: Adherence, act: Act, now: datetime) -> Adherence:
    """How a party stands after an act of its own; doing what is done already changes nothing.

    It may always suspend or withdraw. Raises `ConflictError` for what is not possible.
    """
    if act is Act.WITHDRAW:
        return _moved(known, Standing.WITHDRAWN, now)
    if known.standing is Standing.WITHDRAWN:
        raise ConflictError(
            "You have withdrawn from this agreement.", next_step="Accept it anew if you wish."
        )
    if act is Act.SUSPEND:
        return _moved(known, Standing.SUSPENDED, now)
    if act is Act.RESUME:
        _check_unbarred(known)
        return _moved(known, Standing.IN_FORCE, now)
    raise ConflictError(
        "A party withdraws from an agreement; a coordinator ends it.", next_step="Withdraw."
    )


def barred(known: Adherence, act: Act, now: datetime) -> Adherence:
    """How a party stands after an act of a coordinator.

    Resuming takes off a suspension; after an end it lets the party accept anew, which it must.
    Raises `ConflictError` for what is not possible.
    """
    if act is Act.SUSPEND and known.bar is None:
        return replace(known, bar=Bar.SUSPENDED, since=now)
    if act is Act.END and known.bar is not Bar.ENDED:
        return replace(known, bar=Bar.ENDED, since=now)
    if act is Act.RESUME and known.bar is not None:
        standing = Standing.WITHDRAWN if known.bar is Bar.ENDED else known.standing
        return replace(known, bar=None, standing=standing, since=now)
    if act is Act.WITHDRAW:
        raise ConflictError(
            "Only the party itself withdraws.", next_step="Suspend or end the agreement."
        )
    return known


def by_default() -> dict[str, Terms]:
    """The agreements a new hub begins with, as files beside this one say.

    `opens` there names modules: all that the kinds may do in them.
    """
    found = {}
    for file in resources.files("clearhold.parties.terms_by_default").iterdir():
        if file.name.endswith(".toml"):
            plain = tomllib.loads(file.read_text(encoding="utf-8"))
            kinds = frozenset(map(PartyKind, plain["kinds"]))
            modules = tuple(f"{module}:" for module in plain["opens"])
            opens = frozenset(each for each in may_open(kinds) if each.startswith(modules))
            found[file.name.removesuffix(".toml")] = Terms(plain["text"].strip(), kinds, opens)
    return dict(sorted(found.items()))


def _moved(known: Adherence, standing: Standing, now: datetime) -> Adherence:
    return known if known.standing is standing else replace(known, standing=standing, since=now)


def _check_unbarred(known: Adherence) -> None:
    if known.bar is not None:
        raise ConflictError(
            "The hub's coordinator has suspended or ended this agreement with you.",
            next_step="Ask your coordinator, who alone can take that back.",
        )
