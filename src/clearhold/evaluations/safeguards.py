"""Ways around a model's safeguards: reported, mended by its developer, and tested again by others.

The way to reproduce one is a kit that is encrypted to the developer before it comes here: the hub
keeps it and cannot read it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.evaluations import papers
from clearhold.evaluations.engagements import Engagements, side_of
from clearhold.evaluations.model import Side
from clearhold.evaluations.papers import Kind, Papers
from clearhold.evaluations.safeguard_steps import (
    SafeguardFinding,
    SafeguardView,
    StepTaken,
    check_step,
)
from clearhold.evaluations.suites import effort
from clearhold.kernel.errors import DeniedError, InvalidError, NotFoundError
from clearhold.store.unit_of_work import Sessions, UnitOfWork

LARGEST_KIT: Final = 4 * 1024 * 1024
LARGEST_LOG: Final = 1024 * 1024
_AGE: Final = b"age-encryption.org/v1\n"


class Safeguards:
    """The register of safeguard findings."""

    def __init__(self, sessions: Sessions, engagements: Engagements, kept: Papers) -> None:
        self._sessions = sessions
        self._engagements = engagements
        self._papers = kept

    def report(
        self, actor: Actor, engagement: str, finding: SafeguardFinding, kit: str
    ) -> SafeguardView:
        """Report one, as the evaluator; `kit` is an age file in base64, or empty."""
        actor.need(Permission.EVALUATIONS_RUN)
        _check(finding, kit)
        with self._sessions.transaction() as unit:
            stored, stands = self._engagements.held(unit, actor, engagement)
            if side_of(stands, actor) is not Side.EVALUATOR:
                raise DeniedError("The evaluator reports what it found.")
            body = self._engagements.body(unit, stored, reader=actor.principal)
            if finding.variant not in body.variants:
                raise InvalidError("The variant is not one of the engagement.")
            within = (stored.id, stored.compartment)
            content = msgspec.json.encode(finding, order="deterministic")
            made = self._papers.add(unit, actor, within, Kind.SAFEGUARD, content)
            if kit:
                self._papers.add(
                    unit, actor, within, Kind.SAFEGUARD_KIT, kit.encode(), about=made.id
                )
            return self._one(unit, actor, engagement, made.id)

    def log_effort(
        self, actor: Actor, engagement: str, finding: str, content: bytes
    ) -> SafeguardView:
        """Give the log of the attempts behind a finding, as the evaluator; the last one given counts."""
        actor.need(Permission.EVALUATIONS_RUN)
        if len(content) > LARGEST_LOG:
            raise InvalidError(f"A log of attempts has at most {LARGEST_LOG} bytes here.")
        with self._sessions.transaction() as unit:
            stored, stands = self._engagements.held(unit, actor, engagement)
            view = self._one(unit, actor, engagement, finding)
            if side_of(stands, actor) is not Side.EVALUATOR:
                raise DeniedError("The evaluator gives the log of its attempts.")
            log = effort.read(content)
            if log.variant != view.finding.variant:
                raise InvalidError("The log is of another variant than the finding.")
            within = (stored.id, stored.compartment)
            self._papers.add(unit, actor, within, Kind.SAFEGUARD_EFFORT, content, about=finding)
            return self._one(unit, actor, engagement, finding)

    def step(self, actor: Actor, engagement: str, finding: str, step: StepTaken) -> SafeguardView:
        """Take a step, for the actor's side."""
        actor.need(Permission.EVALUATIONS_RUN)
        with self._sessions.transaction() as unit:
            stored, stands = self._engagements.held(unit, actor, engagement)
            view = self._one(unit, actor, engagement, finding)
            if view.steps and view.steps[-1] == step:
                return view
            check_step(view, step, side_of(stands, actor))
            content = msgspec.json.encode(step, order="deterministic")
            within = (stored.id, stored.compartment)
            self._papers.add(unit, actor, within, Kind.SAFEGUARD_STEP, content, about=finding)
            return self._one(unit, actor, engagement, finding)

    def list(self, actor: Actor, engagement: str) -> tuple[SafeguardView, ...]:
        """The safeguard findings of an engagement, in their order."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            self._engagements.found(unit, actor, engagement)
            return self._all(unit, actor, engagement)

    def _one(self, unit: UnitOfWork, actor: Actor, engagement: str, identity: str) -> SafeguardView:
        for each in self._all(unit, actor, engagement):
            if each.id == identity:
                return each
        raise NotFoundError("There is no such safeguard finding.")

    def _all(self, unit: UnitOfWork, actor: Actor, engagement: str) -> tuple[SafeguardView, ...]:
        kinds = [Kind.SAFEGUARD, Kind.SAFEGUARD_STEP]
        found = self._papers.seen(unit, actor, engagement, kinds)
        sealed = papers.seen_by(
            unit, actor, engagement, [Kind.SAFEGUARD_KIT, Kind.SAFEGUARD_EFFORT]
        )
        attached = {(each.kind, each.about): each.id for each in sealed}
        steps: dict[str, list[StepTaken]] = {}
        for paper, content in found:
            if paper.kind == Kind.SAFEGUARD_STEP:
                steps.setdefault(paper.about, []).append(
                    msgspec.json.decode(content, type=StepTaken)
                )
        return tuple(
            SafeguardView(
                paper.id,
                msgspec.json.decode(content, type=SafeguardFinding),
                tuple(steps.get(paper.id, ())),
                attached.get((Kind.SAFEGUARD_KIT, paper.id), ""),
                attached.get((Kind.SAFEGUARD_EFFORT, paper.id), ""),
            )
            for paper, content in found
            if paper.kind == Kind.SAFEGUARD
        )


def _check(finding: SafeguardFinding, kit: str) -> None:
    names = (finding.title, finding.variant, *finding.also_in)
    if not all(0 < len(each) <= 300 and each.isprintable() for each in names):
        raise InvalidError("A title and names are one line of 1 to 300 characters each.")
    if not 0 <= finding.expert_hours <= 100_000:
        raise InvalidError("Hours are a number from 0 to 100000.")
    if kit:
        try:
            content = base64.b64decode(kit, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidError("A kit comes in base64.") from error
        if len(content) > LARGEST_KIT or not content.startswith(_AGE):
            raise InvalidError(
                "A kit is an age file of at most 4 MiB, encrypted to the developer.",
                next_step="Let `clearhold model safeguard report --kit` encrypt it.",
            )
