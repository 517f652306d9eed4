"""Which leaves of the ledger an actor may see.

Those of compartments whose content it sees, and of no compartment those of itself and its people. Of a case in which it is neither vendor nor coordinator
only what it did itself and who was let in of its own party, since ids of principals would tell the
other finders apart, and that one more party found the flaw. Everyone who sees anything of a case sees that glass was broken there. Whoever
may read no cases now, as while its agreement is suspended, sees what it did itself and no more, but
for the leaves of its own findings when it may read those.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, false, or_, select

from clearhold.access.glass import BROKEN
from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.access.tables import principal
from clearhold.cases.collisions import COLLIDED
from clearhold.cases.model import Role
from clearhold.cases.records import visible_to as case_visible_to
from clearhold.cases.tables import case_participant, disclosure_case
from clearhold.cases.views import SEES_ALL
from clearhold.ledger.tables import ledger_leaf


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Leaves the actor may see."""
    leaf = ledger_leaf.c
    content = compartments_of(actor, now, tier=Tier.CONTENT)
    narrow = (
        select(disclosure_case.c.compartment)
        .join(case_participant, case_participant.c.case == disclosure_case.c.id)
        .where(case_participant.c.party == actor.party, case_participant.c.role.not_in(SEES_ALL))
    )
    own = (actor.party, actor.principal)
    its = or_(leaf.actor.in_(own), leaf.subject.in_(own))
    beside = and_(leaf.compartment.is_(None), _of_no_case(actor, its))
    if Permission.CASES_READ not in actor.permissions:
        of_cases = select(disclosure_case.c.compartment)
        findings = Permission.FINDINGS_READ in actor.permissions
        rest = leaf.compartment.not_in(of_cases) if findings else false()
        return or_(beside, and_(leaf.compartment.in_(content), or_(its, rest)))
    cases = select(disclosure_case.c.compartment).where(case_visible_to(actor, now))
    # Finders see the content of a case by taking part in it, without being read in.
    found = (
        select(disclosure_case.c.compartment)
        .join(case_participant, case_participant.c.case == disclosure_case.c.id)
        .where(case_participant.c.party == actor.party, case_participant.c.role == Role.FINDER)
    )
    return or_(
        beside,
        and_(leaf.compartment.in_(content), or_(leaf.compartment.not_in(narrow), its)),
        and_(
            leaf.action == COLLIDED,
            leaf.compartment.in_(cases),
            or_(leaf.compartment.in_(content), leaf.compartment.in_(found)),
        ),
        and_(leaf.action == BROKEN, leaf.compartment.in_(cases)),
    )


def _of_no_case(actor: Actor, its: ColumnElement[bool]) -> ColumnElement[bool]:
    """Leaves about accounts, agreements and keys: one's own, one's people's, and recoveries.

    An admin sees what members of the party did, a coordinator what becomes of recoveries.
    """
    leaf = ledger_leaf.c
    shown = [its]
    if Permission.PARTIES_MEMBERS in actor.permissions:
        people = select(principal.c.id).where(principal.c.party == actor.party)
        shown += [leaf.actor.in_(people), leaf.subject.in_(people)]
    if Permission.ACCESS_APPROVE in actor.permissions:
        shown.append(leaf.action.startswith("access:recovery:"))
    return or_(*shown)
