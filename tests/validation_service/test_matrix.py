"""What candidate fixes show of pairs of proofs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clearhold.validation.crash import similar
from clearhold.validation.matrix import FixRow, KnownProof, Relation, relations

ENCODER = ("stack-buffer-overflow", "indent", "encode")
NEAR = ("stack-buffer-overflow", "indent", "encode", "dumps")
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


def test_fixes_of_each_alone_leave_equal_faults_in_doubt_and_tell_others_apart() -> None:
    both = [row(str(number), a=True, b=True) for number in range(9)]
    apart = [row("first", a=True, b=False), row("second", a=False, b=True)]
    assert relation(*both, *apart) is Relation.RELATED
    assert relation(*both, *apart, second=NEAR) is Relation.DIFFERENT
    assert relation(*both, *apart, second=DECODER) is Relation.DIFFERENT
    assert relation(*apart) is Relation.RELATED
    assert relation(*apart, second=NEAR) is Relation.DIFFERENT


def test_a_fix_of_one_alone_may_be_partial_when_their_faults_are_alike() -> None:
    one = row("one", a=True, b=False)
    assert relation(one) is relation(one, second=NEAR) is Relation.RELATED
    assert relation(one, second=DECODER) is Relation.DIFFERENT
    assert relation(one, row("both", a=True, b=True)) is Relation.SAME
    assert relation(one, row("both", a=True, b=True), second=NEAR) is Relation.RELATED


def test_fixes_that_stop_neither_show_nothing() -> None:
    assert relation(row("1", a=False, b=False)) is None
    assert relation() is None


def test_a_relation_names_the_fixes_that_show_it_and_no_others() -> None:
    told = [row("3", a=True, b=False), row("2", a=True, b=True), row("0", a=False, b=False)]
    (shown,) = relations([proof("b"), proof("a")], told)
    assert (shown.a, shown.b) == ("a", "b")
    assert (shown.relation, shown.patches) == (Relation.SAME, ("2",))
    (shown,) = relations([proof("b", DECODER), proof("a")], [told[0], told[2]])
    assert (shown.relation, shown.patches) == (Relation.DIFFERENT, ("3",))


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
            pair = [by_id[first], by_id[second]]
            alone = relations(pair, [row(f.patch_sha256, **f.stops) for f in fixes])
            told = shown.get((first, second))
            assert alone == (() if told is None else (told,))
            answers = {(fix.stops[first], fix.stops[second]) for fix in fixes}
            assert (told is None) == (answers <= {(False, False)})
            if told is not None and told.relation is Relation.SAME:
                assert (True, True) in answers
                assert similar(by_id[first].signature, by_id[second].signature)
            if told is not None and told.relation is Relation.DIFFERENT:
                assert answers & {(True, False), (False, True)}
