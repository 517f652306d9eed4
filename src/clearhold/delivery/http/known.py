"""Routes by which a finder asks whether a flaw is known, without saying which.

What is sent and answered stands in bodies; the room's number in an address is all that a proxy's log
could hold, and it is one of 256.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.findings.known.question import Opening
from clearhold.findings.known.signatures import PER_QUESTION, ROOMS

router = APIRouter(prefix="/findings/known", tags=["findings"])

Bytes32 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Room = Annotated[int, Field(ge=0, lt=ROOMS)]
RoomPath = Annotated[int, Path(ge=0, lt=ROOMS)]
Number = Annotated[int, Field(ge=0, lt=1 << 31)]
NumberPath = Annotated[int, Path(ge=0, lt=1 << 31)]
After = Annotated[int, Query(ge=0, lt=1 << 31)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class KeysView(BaseModel):
    """The epoch in use, and for each holder of a part of the key its public keys, one a room."""

    epoch: int
    digest: str
    publics: list[list[str]]


class NewQuestion(BaseModel):
    """Blinded elements, and the lodged commitment they are asked for."""

    epoch: Number
    room: Room
    lodgement: Id
    elements: Annotated[list[Bytes32], Field(min_length=PER_QUESTION, max_length=PER_QUESTION)]


class EvaluationView(BaseModel):
    """What one holder answers: an element for each, and the proof."""

    elements: list[str]
    proof: str


class AnsweredView(BaseModel):
    """The answers of all holders."""

    answers: list[EvaluationView]


class NewClaim(BaseModel):
    """A ticket, and what opens its place in the commitment."""

    lodgement: Id
    ticket: Bytes32
    place: Annotated[int, Field(ge=0, lt=PER_QUESTION)]
    salt: Bytes32
    signature: Bytes32
    leaves: Annotated[list[Bytes32], Field(min_length=PER_QUESTION, max_length=PER_QUESTION)]


class KnownView(BaseModel):
    """`name` is empty for what is another party's; `since` is a month."""

    known: str
    name: str
    since: str


@router.get("/keys", **requires(Permission.FINDINGS_SUBMIT))
def keys(hub: HubDep, actor: ActorDep) -> KeysView:
    """The public keys by which answers are checked."""
    published = hub.known.published(actor)
    return KeysView(
        epoch=published.epoch,
        digest=published.digest,
        publics=[[each.hex() for each in holder] for holder in published.publics],
    )


@router.get(
    "/rooms/{epoch}/{room}", response_class=Response, **requires(Permission.FINDINGS_SUBMIT)
)
def tags(
    hub: HubDep, actor: ActorDep, epoch: NumberPath, room: RoomPath, after: After = 0
) -> Response:
    """A room's list of tags, eight bytes each, from a place on."""
    content = hub.known.tags(actor, epoch, room, after=after)
    return Response(content, media_type="application/octet-stream")


@router.post("/questions", **requires(Permission.FINDINGS_SUBMIT))
def ask(hub: HubDep, actor: ActorDep, new: NewQuestion) -> AnsweredView:
    """Evaluate blinded elements."""
    answers = hub.known.ask(
        actor,
        new.epoch,
        new.room,
        lodgement=new.lodgement,
        elements=[bytes.fromhex(each) for each in new.elements],
    )
    return AnsweredView(
        answers=[
            EvaluationView(
                elements=[element.hex() for element in each.elements], proof=each.proof.hex()
            )
            for each in answers
        ]
    )


@router.post("/claims", **requires(Permission.FINDINGS_SUBMIT))
def claim(hub: HubDep, actor: ActorDep, new: NewClaim) -> KnownView:
    """What is known of a hit."""
    opening = Opening(
        new.place,
        bytes.fromhex(new.salt),
        bytes.fromhex(new.signature),
        tuple(bytes.fromhex(each) for each in new.leaves),
    )
    answer = hub.known.claim(
        actor, lodgement=new.lodgement, ticket=bytes.fromhex(new.ticket), opening=opening
    )
    return KnownView(known=answer.known, name=answer.name, since=answer.since)
