"""Routes of sealed cases, whose content no route can show."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from clearhold.access.permissions import Permission
from clearhold.cases.sealed import Addressee
from clearhold.delivery.http.declare import ActorDep, HubDep, IdempotencyKey, requires
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import SealedCaseId
from clearhold.wire.age import MOST_RECIPIENTS

router = APIRouter(prefix="/cases/sealed", tags=["cases"])


class AddresseeBody(BaseModel):
    """A recipient: the handle of its party and its fingerprint."""

    model_config = ConfigDict(extra="forbid")

    party: str
    fingerprint: str


class NewLetter(BaseModel):
    """A binary age file in base64, and exactly the recipients it is sealed to."""

    model_config = ConfigDict(extra="forbid")

    ciphertext: str
    to: list[AddresseeBody] = Field(min_length=1, max_length=MOST_RECIPIENTS)


class LetterBody(BaseModel):
    """What shows of a letter."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    written_by: str
    written_at: datetime
    size: int
    readers: list[str]


class SealedCaseBody(BaseModel):
    """A sealed case with the letters the caller may fetch."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    lodged_by: str
    lodged_at: datetime
    letters: list[LetterBody]


def _letter(new: NewLetter) -> tuple[bytes, list[Addressee]]:
    try:
        ciphertext = base64.b64decode(new.ciphertext, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidError(
            "The ciphertext is not base64.", next_step="Encode the age file's bytes in base64."
        ) from error
    return ciphertext, [Addressee(each.party, each.fingerprint) for each in new.to]


@router.post("", status_code=201, **requires(Permission.CASES_SEAL))
def lodge(hub: HubDep, actor: ActorDep, new: NewLetter, key: IdempotencyKey) -> SealedCaseBody:
    """Lodge a case that the hub cannot read."""
    ciphertext, to = _letter(new)
    return SealedCaseBody.model_validate(hub.sealed_cases.lodge(actor, ciphertext, to, key=key))


@router.get("", **requires(Permission.CASES_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[SealedCaseBody]:
    """The sealed cases the caller's party lodged or was named in."""
    return [SealedCaseBody.model_validate(each) for each in hub.sealed_cases.list(actor)]


@router.get("/{case}", **requires(Permission.CASES_READ))
def single(hub: HubDep, actor: ActorDep, case: str) -> SealedCaseBody:
    """One of them."""
    return SealedCaseBody.model_validate(hub.sealed_cases.get(actor, SealedCaseId(case)))


@router.post("/{case}/letters", status_code=201, **requires(Permission.CASES_SEAL))
def reply(
    hub: HubDep, actor: ActorDep, case: str, new: NewLetter, key: IdempotencyKey
) -> SealedCaseBody:
    """Add a letter for members of the case."""
    ciphertext, to = _letter(new)
    return SealedCaseBody.model_validate(
        hub.sealed_cases.reply(actor, SealedCaseId(case), ciphertext, to, key=key)
    )


@router.get("/{case}/letters/{letter}", response_class=Response, **requires(Permission.CASES_READ))
def fetch(hub: HubDep, actor: ActorDep, case: str, letter: str) -> Response:
    """The ciphertext of a letter."""
    content = hub.sealed_cases.fetch(actor, SealedCaseId(case), letter)
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"Content-Disposition": "attachment"},
    )
