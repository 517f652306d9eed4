"""A signature that waits for the other side can be taken back; one that both gave cannot."""

from __future__ import annotations

import hashlib

import pytest
from desk_scene import Desk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearhold.kernel.errors import ConflictError, NotFoundError
from clearhold.wire import model_agreement as wire


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.sampled_from(["sign", "take-back"]), st.booleans()), min_size=4, max_size=12
    )
)
def test_a_change_takes_place_with_two_signatures_that_stand(
    desk: Desk, moves: list[tuple[str, bool]]
) -> None:
    engagements = desk.hub.models.engagements
    view = desk.testing(window_days=20)
    change = desk.change(view, "extend", hours=24)
    digest = hashlib.sha256(wire.write(change)).digest()
    signed: set[bool] = set()
    for move, mine in moves:
        actor = desk.testers if mine else desk.lab
        both = len(signed) == 2
        if move == "sign":
            desk.consent(actor, view, change)
            signed.add(mine)
        elif both or mine not in signed:
            with pytest.raises(ConflictError if both else NotFoundError):
                desk.hub.models.consents.take_back(actor, view.stored.id, digest)
        else:
            desk.hub.models.consents.take_back(actor, view.stored.id, digest)
            signed.remove(mine)
        now = engagements.get(desk.lab, view.stored.id)
        took_place = [each.act for each in now.happened].count("extend")
        assert took_place == (len(signed) == 2)
        assert len(now.waiting) == (len(signed) == 1)
    for stranger in desk.strangers:
        with pytest.raises(NotFoundError):
            desk.hub.models.consents.take_back(stranger, view.stored.id, digest)
