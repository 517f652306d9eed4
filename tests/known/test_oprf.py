"""RFC 9497 as its own vectors say, and what must hold of any input, key and adversary."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhold.findings.known import group, oprf
from clearhold.findings.known.oprf import Evaluation, Mode
from clearhold.kernel.errors import IntegrityError, InvalidError

VECTORS = json.loads(Path(__file__).with_name("rfc9497_ristretto255.json").read_text())
CASES = [(suite, vector) for suite in VECTORS for vector in suite["vectors"]]
ORDER = 2**252 + 27742317777372353535851937790883648493


def split(text: str) -> list[bytes]:
    return [bytes.fromhex(each) for each in text.split(",")]


@pytest.mark.parametrize(("suite", "vector"), CASES)
def test_the_vectors_of_the_rfc_come_out(suite: dict[str, Any], vector: dict[str, Any]) -> None:
    mode = Mode(suite["mode"])
    key = oprf.derive_key_pair(
        bytes.fromhex(suite["seed"]), bytes.fromhex(suite["keyInfo"]), mode=mode
    )
    assert key.secret.hex() == suite["skSm"]
    if mode is Mode.VOPRF:
        assert key.public.hex() == suite["pkSm"]
    inputs = split(vector["Input"])
    blinded = [
        oprf.blind(value, mode=mode, by=by)
        for value, by in zip(inputs, split(vector["Blind"]), strict=True)
    ]
    assert [each.element for each in blinded] == split(vector["BlindedElement"])
    elements = [each.element for each in blinded]
    by = bytes.fromhex(vector["Proof"]["r"]) if mode is Mode.VOPRF else None
    answer = oprf.evaluate(key, elements, mode=mode, by=by)
    assert list(answer.elements) == split(vector["EvaluationElement"])
    if mode is Mode.VOPRF:
        assert answer.proof.hex() == vector["Proof"]["proof"]
        oprf.check(key.public, elements, answer)
    outputs = [
        oprf.finalize(each, answered)
        for each, answered in zip(blinded, answer.elements, strict=True)
    ]
    assert outputs == split(vector["Output"])
    assert outputs == [oprf.value_of(key.secret, value, mode=mode) for value in inputs]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.binary(min_size=32, max_size=32)
)
def test_what_is_blinded_and_unblinded_is_the_function_of_the_key(
    values: list[bytes], seed: bytes
) -> None:
    key = oprf.derive_key_pair(seed, b"")
    blinded = [oprf.blind(value) for value in values]
    elements = [each.element for each in blinded]
    answer = oprf.evaluate(key, elements)
    oprf.check(key.public, elements, answer)
    assert [
        oprf.finalize(one, other) for one, other in zip(blinded, answer.elements, strict=True)
    ] == [oprf.value_of(key.secret, value) for value in values]


@settings(max_examples=20, deadline=None)
@given(
    st.binary(max_size=50), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32)
)
def test_two_halves_of_a_key_answer_as_the_whole_one(value: bytes, one: bytes, two: bytes) -> None:
    first, second = oprf.derive_key_pair(one, b"1"), oprf.derive_key_pair(two, b"2")
    question = oprf.blind(value)
    answers = [oprf.evaluate(each, [question.element]) for each in (first, second)]
    (answered,) = oprf.together(answers)
    whole = group.scalar_add(first.secret, second.secret)
    assert oprf.finalize(question, answered) == oprf.value_of(whole, value)


def test_another_key_a_changed_answer_or_proof_is_found_out() -> None:
    key, other = oprf.derive_key_pair(bytes(32), b""), oprf.derive_key_pair(bytes(32), b"other")
    elements = [oprf.blind(bytes([each])).element for each in range(3)]
    answer = oprf.evaluate(key, elements)
    swapped = (answer.elements[1], answer.elements[0], answer.elements[2])
    flipped = bytes([answer.proof[0] ^ 1]) + answer.proof[1:]
    above = (ORDER + 1).to_bytes(32, "little")
    for public, given_answer in (
        (other.public, answer),
        (key.public, oprf.evaluate(other, elements)),
        (key.public, Evaluation(swapped, answer.proof)),
        (key.public, Evaluation(answer.elements, flipped)),
        (key.public, Evaluation(answer.elements, answer.proof[:32] + above)),
        (key.public, Evaluation(answer.elements, b"")),
        (key.public, Evaluation(answer.elements[:2], answer.proof)),
        (key.public, Evaluation((group.IDENTITY, *answer.elements[1:]), answer.proof)),
        (group.IDENTITY, answer),
    ):
        with pytest.raises(IntegrityError):
            oprf.check(public, elements, given_answer)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=40))
def test_whatever_is_no_element_is_refused(encoded: bytes) -> None:
    key = oprf.derive_key_pair(bytes(32), b"")
    try:
        oprf.evaluate(key, [encoded])
    except InvalidError:
        return
    assert len(encoded) == 32
    assert encoded != group.IDENTITY


@pytest.mark.parametrize(
    "encoded",
    [
        group.IDENTITY,
        b"",
        bytes(31),
        b"\1" + bytes(31),  # the order-two point's neighbour: negative in ristretto255
        b"\xed" + b"\xff" * 30 + b"\x7f",  # the field's prime: not canonical
        b"\xec" + b"\xff" * 30 + b"\x7f",  # minus one, of order four on the curve
    ],
)
def test_the_identity_small_order_and_unreduced_encodings_are_refused(encoded: bytes) -> None:
    with pytest.raises(InvalidError):
        oprf.evaluate(oprf.derive_key_pair(bytes(32), b""), [encoded])


def test_too_many_at_once_and_none_are_refused() -> None:
    key = oprf.derive_key_pair(bytes(32), b"")
    for count in (0, oprf.MOST_AT_ONCE + 1):
        with pytest.raises(InvalidError):
            oprf.evaluate(key, [oprf.blind(b"").element] * count)


def test_a_server_cannot_tell_two_questions_apart() -> None:
    """For any element sent and any question there is exactly one blind that sends it."""
    sent = oprf.blind(b"one question").element
    for value in (b"one question", b"quite another"):
        # The blind that takes `value` to what was sent exists: the group is cyclic of prime order,
        # so one multiplication maps the hash of any question onto a uniformly drawn element.
        drawn = [oprf.blind(value).element for _ in range(8)]
        assert len({*drawn, sent}) == 8 + 1
        assert all(one != other for one, other in pairwise(drawn))
