"""A flaw that several found is dangerous: those entitled see it, and may negotiate anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from case_scene import MAINTAINER, Scene

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.cases import history
from clearhold.cases.collisions import COLLIDED
from clearhold.cases.model import EmbargoState, Role
from clearhold.findings.danger import Danger
from clearhold.kernel.ids import FindingId
from clearhold.ledger import records as ledger
from clearhold.ledger.model import Leaf


def leaves(scene: Scene, actor: Actor) -> list[Leaf]:
    with scene.hub.sessions.transaction() as unit:
        return list(ledger.leaves(unit.connection, visible=history.visible_to(actor, unit.now)))


def test_a_long_embargo_on_what_several_found_is_cautioned_and_stands(
    scene: Scene, clock: Any
) -> None:
    embargo = scene.agree_embargo(clock.now() + timedelta(days=30))
    shown = scene.hub.cases.get(scene.maintainer, scene.case)
    assert (shown.collision, shown.embargo_state) == (Danger.CROWDED, EmbargoState.ACTIVE)
    assert shown.embargo is not None
    assert "At most 14 days" in (shown.embargo.caution or "")
    told = [leaf for leaf in leaves(scene, scene.coordinator) if leaf.subject == embargo]
    steps = [leaf for leaf in told if leaf.action.startswith(("cases:embargo", "cases:consent"))]
    assert [leaf.detail["collision"] for leaf in steps] == ["crowded"] * 4


def test_who_only_prepares_the_fix_is_not_told_how_many_found_it(scene: Scene, clock: Any) -> None:
    scene.hub.readers.read_in(
        scene.coordinator, scene.case, MAINTAINER, role=Role.VENDOR, tier=2, reason="fixes it"
    )
    until = clock.now() + timedelta(days=30)
    scene.hub.embargoes.propose(scene.coordinator, scene.case, until=until)
    shown = scene.hub.cases.get(scene.maintainer, scene.case)
    assert (shown.collision, shown.collided_since) == (None, False)
    assert shown.proposal is not None
    assert shown.proposal.caution is None
    assert all("collision" not in leaf.detail for leaf in leaves(scene, scene.maintainer))


def test_a_finder_who_joins_under_embargo_is_told_to_all_with_the_content(
    scene: Scene,
    clock: Any,
    party_of: Callable[..., Actor],
    submit: Callable[..., FindingId],
    request: pytest.FixtureRequest,
) -> None:
    reproduced: Callable[[FindingId], None] = request.getfixturevalue("reproduced")
    same: Callable[[FindingId, FindingId], None] = request.getfixturevalue("same")
    scene.agree_embargo(clock.now() + timedelta(days=10))
    assert not scene.hub.cases.get(scene.lab, scene.case).collided_since
    third = submit(party_of(PartyKind.FINDER, "finder-three"))
    reproduced(third)
    same(scene.findings[0], third)
    for actor in (scene.coordinator, scene.maintainer, scene.lab):
        assert scene.hub.cases.get(actor, scene.case).collided_since
        (told,) = [leaf for leaf in leaves(scene, actor) if leaf.action == COLLIDED]
        assert told.detail == {"fact": "collision", "collision": "crowded"}
    assert all(leaf.action != COLLIDED for leaf in leaves(scene, scene.stranger))
