"""From trials to the record of calls: which calls of the gateway's a trial says it made, and whether they are there.

A trial that went through the gateway names its calls by their numbers in the engagement's record and
by the digests of what it asked; both are in the trial's evidence, whose digest the trial has. Whoever
holds evidence and record checks them against each other without a hub.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from clearhold.evaluations.call_chain import Outcome, RecordedCall

MOST_NUMBER: Final = 1 << 53


class GatewayCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call as the harness saw it: the number that the gateway gave, and the SHA-256 of the request."""

    number: int
    request_sha256: str


class TrialKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is tried once in a run, as `Trial.key` has it."""

    suite: str
    task: str
    arm: str
    variant: str
    epoch: int


class Evidence(msgspec.Struct, frozen=True):
    """What is read of a trial's evidence here: of which trial it is, and its calls, if by a gateway."""

    key: TrialKey
    gateway_calls: tuple[GatewayCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Walk:
    """What became of the way from trials to calls.

    `named` calls were found as they were told of, in `trials` trials; `tokens` is what the record has for
    those of them that were answered. `unnamed` calls came by the same grants and belong to no trial:
    those of trials that were cut short. `faults` are sentences, empty when everything agrees.
    """

    trials: int
    named: int
    tokens: int
    unnamed: int
    faults: tuple[str, ...]


def walk(told: Mapping[str, Sequence[GatewayCall]], record: Iterable[RecordedCall]) -> Walk:
    """Look up in a record of calls what trials, by their names, tell of theirs."""
    calls = {each.number: each for each in record}
    faults: list[str] = []
    owners: dict[int, str] = {}
    for trial, named in told.items():
        for each in named:
            call = calls.get(each.number)
            if call is None:
                faults.append(f"{trial} names call {each.number}, which the record does not have")
            elif call.request_sha256 != each.request_sha256:
                faults.append(f"{trial} asked something else than call {each.number} of the record")
            elif each.number in owners:
                faults.append(f"{trial} names call {each.number}, which is {owners[each.number]}'s")
            else:
                owners[each.number] = trial
    found = [calls[each] for each in owners]
    callers = {each.caller for each in found}
    answered = [each for each in found if each.outcome == Outcome.ANSWERED]
    return Walk(
        trials=sum(bool(each) for each in told.values()),
        named=len(found),
        tokens=sum(each.prompt_tokens + each.answer_tokens for each in answered),
        unnamed=sum(each.caller in callers for each in calls.values()) - len(found),
        faults=tuple(faults),
    )
