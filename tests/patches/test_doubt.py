"""A fix that answers many inputs near the benign ones otherwise is not simply accepted."""

from __future__ import annotations

import pytest

from clearhold.patches.behaviour import doubtful


@pytest.mark.parametrize(("differing", "known"), [(3, 7), (2, 6), (8, 8), (2, 2)])
def test_a_third_of_what_was_tried_raises_doubt(differing: int, known: int) -> None:
    assert doubtful(differing, known)


@pytest.mark.parametrize(("differing", "known"), [(0, 0), (0, 8), (1, 1), (1, 8), (2, 8)])
def test_single_inputs_at_an_edge_raise_none(differing: int, known: int) -> None:
    assert not doubtful(differing, known)
