"""Parts of a fix are diffs themselves, and a fix of which a part does some of the work is several."""

from __future__ import annotations

import difflib

from hypothesis import given
from hypothesis import strategies as st

from clearhold.validation.diff import read_diff
from clearhold.validation.subpatches import Unit, is_compound, part, units

LINES = st.lists(st.sampled_from([f"line {n}\n" for n in range(12)]), max_size=20)


def diff(before: list[str], after: list[str]) -> bytes:
    made = "".join(difflib.unified_diff(before, after, "a/f.c", "b/f.c", n=1)).encode()
    return read_diff(made).canonical if made else b""


def applied(before: list[str], patch: bytes) -> list[str]:
    """What applying a diff strictly by its line numbers gives."""
    left, made, at = list(before), [], 0
    for line in patch.decode().splitlines(keepends=True)[2:]:
        if line.startswith("@@"):
            start, _, size = line.split()[1].removeprefix("-").partition(",")
            begin = int(start) - (size != "0")
            made += left[at:begin]
            at = begin
        elif line[0] == "+":
            made.append(line[1:])
        else:
            assert left[at] == line[1:]
            made += [left[at]] if line[0] == " " else []
            at += 1
    return made + left[at:]


@given(LINES, LINES, st.data())
def test_any_part_is_a_diff_that_applies_and_all_parts_are_the_whole(
    before: list[str], after: list[str], data: st.DataObject
) -> None:
    whole = diff(before, after)
    if not whole:
        return
    pieces = units(whole)
    assert applied(before, part(whole, pieces)) == after
    assert part(whole, ()) == b""
    chosen = [each for each in pieces if data.draw(st.booleans())]
    some = part(whole, chosen)
    if some:
        read_diff(some)
        applied(before, some)


def test_lines_added_side_by_side_are_units_of_their_own() -> None:
    whole = diff(["a\n", "b\n"], ["a\n", "x\n", "y\n", "b\n"])
    first, second = units(whole)
    assert applied(["a\n", "b\n"], part(whole, [first])) == ["a\n", "x\n", "b\n"]
    assert applied(["a\n", "b\n"], part(whole, [second])) == ["a\n", "y\n", "b\n"]


PIECES = tuple(Unit(0, 0, frozenset((n,))) for n in range(9))


@given(
    st.dictionaries(
        st.sampled_from("abc"), st.sets(st.sampled_from(PIECES), min_size=1), min_size=1
    )
)
def test_a_fix_is_called_compound_only_when_a_part_stops_some_and_not_all(
    needs: dict[str, set[Unit]],
) -> None:
    tried = []

    def stops(wanted: tuple[Unit, ...]) -> set[str]:
        tried.append({name for name, needed in needs.items() if needed <= set(wanted)})
        return tried[-1]

    compound = is_compound(set(needs), PIECES, stops)
    assert compound == any(0 < len(stopped) < len(needs) for stopped in tried)
    if len({frozenset(needed) for needed in needs.values()}) == 1:
        assert not compound


@given(st.permutations(PIECES), st.integers(1, 4))
def test_two_fixes_in_one_diff_are_found_out_wherever_they_stand(
    order: list[Unit], size: int
) -> None:
    one, other = set(order[:size]), set(order[size : size + 1])

    def stops(wanted: tuple[Unit, ...]) -> set[str]:
        return {name for name, needed in (("a", one), ("b", other)) if needed <= set(wanted)}

    assert is_compound({"a", "b"}, PIECES, stops)
