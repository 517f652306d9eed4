"""Routes of invitations into parties."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from clearhold.access.permissions import MemberRole, Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.delivery.http.parties import MemberView, member_view
from clearhold.kernel.ids import InvitationId

router = APIRouter(prefix="/invitations", tags=["parties"])


class NewInvitation(BaseModel):
    """Whom to invite: as what, and for how many days the invitation is open."""

    roles: list[MemberRole] = Field(default=[MemberRole.HANDLER], max_length=len(MemberRole))
    days: int = Field(default=7, ge=1, le=14)


class InvitationView(BaseModel):
    """An invitation without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    roles: list[MemberRole]
    made_by: str
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    member: str | None


class MadeView(InvitationView):
    """A fresh invitation; its secret is shown this once."""

    invitation: str


class Redemption(BaseModel):
    """An invitation as it was sent, and how many days the new token shall live."""

    invitation: str = Field(max_length=200)
    days: int = Field(default=30, ge=1, le=366)


class JoinedView(MemberView):
    """The new membership, with a token for it that is shown this once; None where one signs in."""

    party: str
    token: str | None


@router.get("", **requires(Permission.PARTIES_MEMBERS))
def listing(hub: HubDep, actor: ActorDep) -> list[InvitationView]:
    """The invitations of the caller's party, newest first."""
    return [InvitationView.model_validate(each) for each in hub.invitations.list(actor)]


@router.post("", status_code=201, **requires(Permission.PARTIES_MEMBERS))
def invite(hub: HubDep, actor: ActorDep, new: NewInvitation) -> MadeView:
    """Invite a person to act for the caller's party."""
    made = hub.invitations.invite(actor, roles=new.roles, life=timedelta(days=new.days))
    shown = InvitationView.model_validate(made.invitation)
    return MadeView(**shown.model_dump(), invitation=made.secret)


@router.post("/redemptions", status_code=201, **requires(Permission.PARTIES_READ))
def redeem(hub: HubDep, actor: ActorDep, sent: Redemption) -> JoinedView:
    """Become a member of the party that invites, as the same person."""
    member, issued = hub.invitations.redeem(actor, sent.invitation, life=timedelta(days=sent.days))
    shown = member_view(member).model_dump()
    return JoinedView(**shown, party=member.party, token=None if issued is None else issued.secret)


@router.post("/{invitation}/revocation", **requires(Permission.PARTIES_MEMBERS))
def revoke(hub: HubDep, actor: ActorDep, invitation: str) -> list[InvitationView]:
    """Take an invitation back."""
    hub.invitations.revoke(actor, InvitationId(invitation))
    return listing(hub, actor)
