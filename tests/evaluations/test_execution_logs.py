"""The harness's record of commands, and how strongly a variant is kept apart."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.evaluations.exec_log import BEGINNING, ExecLog, RanCommand, broken
from clearhold.evaluations.isolation import LEAST, ORDER, VariantKind, demand
from clearhold.kernel.errors import UnavailableError

AT = datetime(2026, 11, 30, tzinfo=UTC)
commands = st.lists(
    st.tuples(st.lists(st.text(), min_size=1), st.binary(max_size=50)), min_size=1, max_size=6
)


def logged(ran: list[tuple[list[str], bytes]]) -> ExecLog:
    log = ExecLog()
    for argv, output in ran:
        log.add(argv, at=AT, milliseconds=5, exit_code=0, ended_by="", output=output)
    return log


@given(commands, st.data())
def test_no_command_can_be_changed_left_out_or_moved(
    ran: list[tuple[list[str], bytes]], data: st.DataObject
) -> None:
    log = logged(ran)
    assert broken(log.ran) is None
    at = data.draw(st.integers(0, len(ran) - 1))
    changed = list(log.ran)
    changed[at] = msgspec.structs.replace(changed[at], exit_code=1)
    noticed = broken(changed) is not None or changed[-1].hash.hex() != log.head
    assert noticed
    without = [*log.ran[:at], *log.ran[at + 1 :]]
    head = without[-1].hash.hex() if without else BEGINNING.hex()
    assert broken(without) is not None or head != log.head


def test_long_words_are_clipped_and_digested_whole() -> None:
    one, two = logged([(["x" * 9000 + "1"], b"")]), logged([(["x" * 9000 + "2"], b"")])
    assert len(one.ran[0].argv[0]) == 4096
    assert one.head != two.head
    assert msgspec.json.decode(msgspec.json.encode(one.ran[0]), type=RanCommand) == one.ran[0]
    assert ExecLog().head == BEGINNING.hex()


@pytest.mark.parametrize("kind", VariantKind)
@pytest.mark.parametrize("given", ORDER)
def test_what_is_too_weak_is_refused(kind: VariantKind, given: str) -> None:
    strong = ORDER.index(given) >= ORDER.index(LEAST[kind])
    demand(kind, given=given, tools=False)
    if strong:
        demand(kind, given=given, tools=True)
    else:
        with pytest.raises(UnavailableError, match=LEAST[kind]):
            demand(kind, given=given, tools=True)


def test_frontier_models_and_those_with_reduced_safeguards_get_a_kernel_of_their_own() -> None:
    for kind in (VariantKind.FRONTIER, VariantKind.REDUCED_SAFEGUARDS):
        assert ORDER.index(LEAST[kind]) >= ORDER.index("gvisor")
