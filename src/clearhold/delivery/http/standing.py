"""Routes of what parties stand for, how they are reached and what they wish."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.kernel.ids import PartyId
from clearhold.parties.contacts import Email
from clearhold.parties.standing_records import Representation, StoredWish
from clearhold.parties.verification import address_of
from clearhold.parties.wish import Channel, EmbargoPolicy, QuietHours, Wishes

router = APIRouter(tags=["standing"])

_Subject = Annotated[str, Field(min_length=1, max_length=1200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class About(_Strict):
    """A domain, a repository's https address, or a package URL (`…/` for a namespace)."""

    subject: _Subject


class Ending(About):
    """What to stand for no longer; a coordinator who ends another's gives a reason."""

    reason: str = ""


class Confirmation(About):
    """A party that stands for something, and how the coordinator knows."""

    party: str
    reason: str


class ChallengeView(BaseModel):
    """The line to publish, where, and until when."""

    subject: str
    line: str
    address: str
    expires_at: datetime


class RepresentationView(BaseModel):
    """A party that stands for something; `disputed` when another has shown the same."""

    subject: str
    party: str
    method: str
    since: datetime
    expires_at: datetime
    disputed: bool
    challenger: str | None


class EmailBody(_Shown):
    """An address, with the key to encrypt to."""

    address: str = Field(max_length=330)
    key: str | None = Field(default=None, max_length=4100)


class PublishedView(_Shown):
    """What a domain's security.txt said."""

    domain: str
    contacts: list[str]
    encryption: list[str]
    policy: list[str]
    languages: list[str]
    expires: datetime
    signed: bool


class RoutesView(_Shown):
    """All ways to reach a party."""

    emails: list[EmailBody]
    policy: str | None
    languages: list[str]
    published: PublishedView | None


class NewRoutes(_Strict):
    """How a party says it is reached."""

    emails: list[EmailBody] = Field(default=[], max_length=10)
    policy: str | None = Field(default=None, max_length=500)
    languages: list[str] = Field(default=[], max_length=10)


class Domain(_Strict):
    """A domain the caller's party stands for."""

    domain: str = Field(min_length=1, max_length=300)


class QuietBody(_Shown):
    """Quiet hours by the clock of a place; `days` are whole days, Monday is 0."""

    zone: str = Field(min_length=1, max_length=64)
    start: time
    end: time
    days: list[Annotated[int, Field(ge=0, le=6)]] = Field(default=[], max_length=7)


class PolicyBody(_Shown):
    """For how many days to keep a case quiet; a firm policy refuses what lies outside."""

    shortest: int | None = None
    longest: int | None = None
    default: int | None = None
    firm: bool = False


class WishesBody(_Shown):
    """What is wished."""

    do_not_scan: bool = False
    do_not_contact: bool = False
    most_open: int | None = None
    most_weekly: int | None = None
    quiet: list[QuietBody] = Field(default=[], max_length=10)
    channels: list[Channel] = Field(default=[], max_length=len(Channel))
    embargo: PolicyBody = PolicyBody()


class NewWish(About):
    """What is wished, about what."""

    wishes: WishesBody


class WishView(BaseModel):
    """A wish as its maker sees it; it counts as long as the maker stands for `rests_on`."""

    subject: str
    rests_on: str
    wishes: WishesBody
    made_at: datetime


def _represented(found: Representation) -> RepresentationView:
    return RepresentationView(
        subject=found.subject,
        party=found.party,
        method=found.method,
        since=found.since,
        expires_at=found.expires_at,
        disputed=found.challenger is not None,
        challenger=found.challenger,
    )


def _wish(found: StoredWish) -> WishView:
    return WishView(
        subject=found.subject,
        rests_on=found.basis,
        wishes=WishesBody.model_validate(found.wishes),
        made_at=found.made_at,
    )


def _wishes(body: WishesBody) -> Wishes:
    return Wishes(
        do_not_scan=body.do_not_scan,
        do_not_contact=body.do_not_contact,
        most_open=body.most_open,
        most_weekly=body.most_weekly,
        quiet=tuple(
            sorted(
                QuietHours(each.zone, each.start, each.end, tuple(sorted(set(each.days))))
                for each in body.quiet
            )
        ),
        channels=tuple(sorted(set(body.channels))),
        embargo=EmbargoPolicy(
            body.embargo.shortest, body.embargo.longest, body.embargo.default, body.embargo.firm
        ),
    )


@router.get("/standing", **requires(Permission.PARTIES_STANDING))
def standing(hub: HubDep, actor: ActorDep) -> list[RepresentationView]:
    """What the caller's party stands for; for coordinators, who stands for what."""
    return [_shown(actor.party, each) for each in hub.verification.list(actor)]


def _shown(party: PartyId, found: Representation) -> RepresentationView:
    # The holder learns that there is a dispute, and a coordinator with whom.
    view = _represented(found)
    return view.model_copy(update={"challenger": None}) if found.party == party else view


@router.post("/standing/challenges", status_code=201, **requires(Permission.PARTIES_WISH))
def challenge(hub: HubDep, actor: ActorDep, about: About) -> ChallengeView:
    """What to publish to show that a domain or repository is the caller's."""
    made = hub.verification.challenge(actor, about.subject)
    return ChallengeView(
        subject=made.subject,
        line=made.nonce,
        address=address_of(made.subject),
        expires_at=made.expires_at,
    )


@router.post("/standing/checks", **requires(Permission.PARTIES_WISH))
def check(hub: HubDep, actor: ActorDep, about: About) -> RepresentationView:
    """Look whether it is published."""
    return _represented(hub.verification.check(actor, about.subject))


@router.post("/standing/confirmations", status_code=201, **requires(Permission.PARTIES_WRITE))
def confirm(hub: HubDep, actor: ActorDep, said: Confirmation) -> RepresentationView:
    """Say as a coordinator that a party stands for something; it settles a dispute."""
    return _represented(
        hub.verification.confirm(actor, PartyId(said.party), said.subject, reason=said.reason)
    )


@router.post("/standing/ends", **requires(Permission.PARTIES_STANDING))
def end(hub: HubDep, actor: ActorDep, about: Ending) -> RepresentationView:
    """Stand for something no longer."""
    ended = hub.verification.end(actor, about.subject, reason=about.reason)
    return _shown(actor.party, ended)


@router.get("/contacts/{party}", **requires(Permission.PARTIES_STANDING))
def contacts(hub: HubDep, actor: ActorDep, party: str) -> RoutesView:
    """How a party is reached: for itself and for coordinators."""
    return RoutesView.model_validate(hub.contacts.get(actor, PartyId(party)))


@router.post("/contacts", **requires(Permission.PARTIES_WISH))
def write_contacts(hub: HubDep, actor: ActorDep, new: NewRoutes) -> RoutesView:
    """Say how the caller's party is reached, in place of what it said."""
    emails = tuple(Email(each.address, each.key) for each in new.emails)
    return RoutesView.model_validate(
        hub.contacts.write(actor, emails=emails, policy=new.policy, languages=tuple(new.languages))
    )


@router.post("/contacts/security-txt", **requires(Permission.PARTIES_WISH))
def read_security_txt(hub: HubDep, actor: ActorDep, of: Domain) -> RoutesView:
    """Read the security.txt of a domain the caller's party stands for."""
    return RoutesView.model_validate(hub.contacts.read_published(actor, of.domain))


@router.get("/wishes", **requires(Permission.PARTIES_STANDING))
def wishes(hub: HubDep, actor: ActorDep) -> list[WishView]:
    """What the caller's party wishes."""
    return [_wish(each) for each in hub.wishes.list(actor)]


@router.post("/wishes", status_code=201, **requires(Permission.PARTIES_WISH))
def wish(hub: HubDep, actor: ActorDep, new: NewWish) -> WishView:
    """Wish something about a package, a namespace or a domain, in place of an earlier wish."""
    return _wish(hub.wishes.wish(actor, new.subject, _wishes(new.wishes)))


@router.post("/wishes/withdrawals", **requires(Permission.PARTIES_WISH))
def take_back(hub: HubDep, actor: ActorDep, about: About) -> list[WishView]:
    """Wish nothing any more about something."""
    hub.wishes.take_back(actor, about.subject)
    return wishes(hub, actor)
