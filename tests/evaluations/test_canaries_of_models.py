"""Whether an endpoint still serves the same model, for models that repeat themselves and ones that do not."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from clearhold.evaluations.canary import Identity, Told, compare

PROMPTS = [f"prompt-{number}" for number in range(20)]


def model(seed: int, *, ways: int) -> Callable[[str, Random], str]:
    """A model that answers each prompt in one of so many ways of its own."""
    return lambda prompt, luck: f"{seed}/{prompt}/{min(luck.randrange(ways), luck.randrange(ways))}"


def told(first: Callable[[str, Random], str], later: Callable[[str, Random], str]) -> list[Told]:
    found = []
    for seed in range(60):
        luck = Random(seed)  # noqa: S311 (reproducible, no secret)
        baseline = {prompt: [first(prompt, luck) for _ in range(5)] for prompt in PROMPTS}
        found.append(compare(baseline, {prompt: later(prompt, luck) for prompt in PROMPTS}))
    return found


@pytest.mark.parametrize("ways", [1, 2, 4])
def test_the_same_model_is_not_taken_for_another(ways: int) -> None:
    one = model(1, ways=ways)
    assert sum(each.identity is Identity.DIFFERENT for each in told(one, one)) <= 1


@pytest.mark.parametrize("ways", [1, 2, 4])
def test_another_model_is_told(ways: int) -> None:
    assert {each.identity for each in told(model(1, ways=ways), model(2, ways=ways))} == {
        Identity.DIFFERENT
    }


def test_a_model_that_is_changed_for_some_prompts_is_told() -> None:
    one, other = model(1, ways=1), model(2, ways=1)

    def mixed(prompt: str, luck: Random) -> str:
        return (one if int(prompt[7:]) % 2 else other)(prompt, luck)

    assert {each.identity for each in told(one, mixed)} == {Identity.DIFFERENT}


def test_answers_that_never_repeat_tell_nothing() -> None:
    luck = Random(5)  # noqa: S311 (reproducible, no secret)
    baseline = {prompt: [f"{luck.random()}" for _ in range(3)] for prompt in PROMPTS[:5]}
    found = compare(baseline, {prompt: f"{luck.random()}" for prompt in PROMPTS[:5]})
    assert found.identity is Identity.UNCLEAR


@pytest.mark.parametrize(
    ("baseline", "answers"),
    [
        ({"a": ["x"] * 3}, {"a": "x"}),
        ({prompt: ["x"] * 2 for prompt in PROMPTS}, dict.fromkeys(PROMPTS, "x")),
        ({prompt: ["x"] * 3 for prompt in PROMPTS}, dict.fromkeys(PROMPTS[1:], "x")),
    ],
)
def test_too_little_to_judge_by_is_refused(
    baseline: dict[str, list[str]], answers: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="at least"):
        compare(baseline, answers)
