"""What candidate fixes show of pairs of proofs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clearhold.validation.crash import similar
from clearhold.validation.matrix import FixRow, KnownProof, Relation, relations

ENCODER = ("stack-buffer-overflow", "indent", "encode")
DECODER = ("heap-buffer-overflow", "decode", "decode_string")
IDS = ("a", "b", "c", "d")


def proof(identity: str, signature: tuple[str, ...] = ENCODER) -> KnownProof:
    return KnownProof(identity, "encode", identity.encode(), signature)


def row(name: str, **stops: bool) -> FixRow:
    return FixRow(name, stops)


def relation(*rows: FixRow, second: tuple[str, ...] = ENCODER) -> Relation | None:
    shown = relations([proof("a"), proof("b", second)], rows)
    return shown[0].relation if shown else None


def test_one_fix_that_stops_both_like_faults_shows_one_bug() -> None:
    assert relation(row("1", a=True, b=True)) is Relation.SAME


def test_one_fix_that_stops_faults_that_do_not_look_alike_shows_only_kinship() -> None:
    assert relation(row("1", a=True, b=True), second=DECODER) is Relation.RELATED


def test_a_fix_that_tells_them_apart_outweighs_any_that_stop_both() -> None:
    both = [row(str(number), a=True, b=True) for number in range(9)]
    assert relation(*both, row("apart", a=True, b=False)) is Relation.DIFFERENT


def test_fixes_that_stop_neither_show_nothing() -> None:
    assert relation(row("1", a=False, b=False)) is None
    assert relation() is None


def test_a_relation_names_the_fixes_that_show_it_and_no_others() -> None:
    (shown,) = relations(
        [proof("b"), proof("a")],
        [row("3", a=True, b=False), row("2", a=True, b=True), row("1", a=False, b=True)],
    )
    assert (shown.a, shown.b) == ("a", "b")
    assert shown.patches == ("1", "3")


proofs = st.permutations(IDS).flatmap(
    lambda ids: st.tuples(*(st.sampled_from([ENCODER, DECODER, ()]) for _ in ids)).map(
        lambda signatures: [proof(*pair) for pair in zip(ids, signatures, strict=True)]
    )
)
rows = st.lists(st.fixed_dictionaries({each: st.booleans() for each in IDS}), max_size=5).map(
    lambda made: [FixRow(str(number), stops) for number, stops in enumerate(made)]
)


@given(proofs, rows, st.randoms(use_true_random=False))
def test_the_order_of_proofs_and_fixes_changes_nothing(
    known: list[KnownProof], fixes: list[FixRow], chance: object
) -> None:
    shown = relations(known, fixes)
    shuffled, others = list(known), list(fixes)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    chance.shuffle(others)  # type: ignore[attr-defined]
    assert relations(shuffled, others) == shown


@given(proofs, rows)
def test_every_pair_gets_what_its_own_fixes_say(
    known: list[KnownProof], fixes: list[FixRow]
) -> None:
    shown = {(each.a, each.b): each for each in relations(known, fixes)}
    by_id = {each.id: each for each in known}
    for first in IDS:
        for second in IDS[IDS.index(first) + 1 :]:
            answers = {(fix.stops[first], fix.stops[second]) for fix in fixes}
            told = shown.get((first, second))
            if answers & {(True, False), (False, True)}:
                assert told is not None
                assert told.relation is Relation.DIFFERENT
            elif (True, True) in answers:
                assert told is not None
                alike = similar(by_id[first].signature, by_id[second].signature)
                assert told.relation is (Relation.SAME if alike else Relation.RELATED)
            else:
                assert told is None
