"""Asking a hub privately whether a flaw is known: the asker's side of the question, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearhold.delivery.client import HubClient
from clearhold.findings.known.oprf import Evaluation
from clearhold.findings.known.question import (
    TAG_BYTES,
    Question,
    ask,
    digest_of,
    places_in,
    ticket_of,
)
from clearhold.findings.known.signatures import Signature, room_of
from clearhold.kernel.errors import IntegrityError, NotFoundError
from clearhold.kernel.purl import Purl


def privately(
    connection: HubClient,
    package: Purl,
    signed: Sequence[Signature],
    *,
    keys: dict[str, Any],
    digest: str = "",
    claim: bool = False,
) -> dict[str, Any]:
    """Whether the hub holds any of these signatures, which it does not learn on a miss.

    `keys` are its published ones, `digest` that of those expected. With `claim` a hit is told to
    the hub, which then says since when it is known. Raises `IntegrityError` for other keys.
    """
    asked = ask([each.value for each in signed])
    lodged = connection.post("/ledger/commitments", {"commitment": asked.commitment.hex()})
    outputs = _answered(connection, asked, keys, room_of(package), lodged["id"], digest=digest)
    hits = places_in(outputs, _tags(connection, keys["epoch"], room_of(package)))
    answer: dict[str, Any] = {"known": bool(hits), "keys": keys["digest"], "lodged": lodged["id"]}
    if hits and claim:
        answer |= _claimed(connection, asked, outputs, hits, lodged["id"])
    return answer


def _answered(
    connection: HubClient,
    asked: Question,
    keys: dict[str, Any],
    room: int,
    lodgement: str,
    *,
    digest: str,
) -> tuple[bytes, ...]:
    publics = [[bytes.fromhex(each) for each in holder] for holder in keys["publics"]]
    if digest_of(publics) != keys["digest"] or digest not in {"", keys["digest"]}:
        raise IntegrityError(
            "The hub's public keys are not those that are expected.",
            next_step="Compare their digest with other parties and with the ledger's leaf.",
        )
    body = {
        "epoch": keys["epoch"],
        "room": room,
        "lodgement": lodgement,
        "elements": [each.hex() for each in asked.elements],
    }
    answered = connection.post("/findings/known/questions", body)["answers"]
    answers = [
        Evaluation(tuple(map(bytes.fromhex, each["elements"])), bytes.fromhex(each["proof"]))
        for each in answered
    ]
    return asked.outputs([holder[room] for holder in publics], answers)


def _tags(connection: HubClient, epoch: int, room: int) -> bytes:
    """The whole list of a room, whatever of it is wanted."""
    path, listed = f"/api/v1/findings/known/rooms/{epoch}/{room}", b""
    while more := connection.download(path, after=len(listed) // TAG_BYTES):
        listed += more
    return listed


def _claimed(
    connection: HubClient,
    asked: Question,
    outputs: tuple[bytes, ...],
    hits: tuple[int, ...],
    lodgement: str,
) -> dict[str, Any]:
    for place in hits:
        opening = asked.opening(place)
        body = {
            "lodgement": lodgement,
            "ticket": ticket_of(outputs[place]).hex(),
            "place": place,
            "salt": opening.salt.hex(),
            "signature": opening.signature.hex(),
            "leaves": [each.hex() for each in opening.leaves],
        }
        try:
            answer = connection.post("/findings/known/claims", body)
        except NotFoundError:  # expunged since
            continue
        return {"as": answer["known"], "name": answer["name"], "since": answer["since"]}
    return {}
