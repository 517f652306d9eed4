"""What is most likely a copy of a finding, and what the index that tells it holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from finding_examples import document
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select

from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.findings import match_index, match_records
from clearhold.findings.merging import Copy, Layer, certain
from clearhold.findings.model import Receipt
from clearhold.findings.signals import Signals, signals
from clearhold.findings.sketches import Sketch, Sketcher
from clearhold.findings.tables import match_sketch, match_token
from clearhold.kernel.ids import FindingId

Submit = Callable[..., Receipt]
NAMES = st.text(alphabet="abc_:XY1", max_size=12)


def crash(*frames: str, kind: str = "heap-buffer-overflow", **changes: Any) -> bytes:
    stack = "\n".join(f"    #{n} 0x1 in {frame} /src/x.c:{n + 1}" for n, frame in enumerate(frames))
    text = f"==1==ERROR: AddressSanitizer: {kind} on address 0x1\nREAD of size 4 at 0x1\n{stack}\n"
    given = {"description": text, "claim": {"kind": "crash", "signature": []}, "proof": None}
    return document(**(given | changes))


def one(receipt: Receipt) -> FindingId:
    return FindingId(receipt.findings[0].finding)


def ranked(hub: Hub, finding: FindingId) -> list[match_index.Candidate]:
    with hub.sessions.transaction() as unit:
        return list(match_index.rank_batch(unit, [finding])[finding])


def test_the_finding_with_the_same_frames_comes_first(
    hub: Hub, lab_a: Actor, lab_b: Actor, submit: Submit
) -> None:
    """Among findings of one package, whoever sent them."""
    for n in range(6):
        submit(lab_a, crash(f"other_{n}", f"unlike_{n}", f"distant_{n}", title=f"Report {n}"))
    wanted = one(submit(lab_a, crash("parse_header", "read_chunk", "load_image", title="Crash")))
    asked = one(submit(lab_b, crash("parse_header", "read_chunk", "decode_all", title="Boom")))
    first = ranked(hub, asked)[0]
    assert first.finding == wanted
    assert Layer.FRAMES in first.layers


def test_another_package_is_never_a_candidate(
    hub: Hub, lab_a: Actor, lab_b: Actor, submit: Submit
) -> None:
    """The same words of another package are other values."""
    submit(lab_a, crash("parse_header", package="pkg:pypi/other@1.0"))
    asked = one(submit(lab_b, crash("parse_header")))
    assert ranked(hub, asked) == []
    with hub.sessions.transaction() as unit:
        tokens = unit.connection.execute(select(match_sketch.c.tokens)).scalars().all()
    one_part, other = ({bytes(t)[n : n + 8] for n in range(0, len(t), 8)} for t in tokens)
    assert one_part
    assert one_part.isdisjoint(other)


def test_the_index_holds_no_words(hub: Hub, lab_a: Actor, submit: Submit) -> None:
    """Neither a frame nor a package can be read in it."""
    submit(lab_a, crash("parse_header"))
    with hub.sessions.transaction() as unit:
        [row] = unit.connection.execute(select(match_sketch)).mappings().all()
        tokens = unit.connection.execute(select(match_token.c.token)).scalars().all()
    stored = b"".join((bytes(row["sketch"]), bytes(row["package"]), *map(bytes, tokens)))
    for word in (b"parse", b"header", b"ujson", b"overflow"):
        assert word not in stored
    assert len(stored) + len(bytes(row["tokens"])) < 1200


def test_indexing_again_gives_the_same_index(hub: Hub, lab_a: Actor, submit: Submit) -> None:
    """The index follows from what findings say, so it can be rebuilt at will."""
    finding = one(submit(lab_a, crash("parse_header", "read_chunk")))
    with hub.sessions.transaction() as unit:
        [before] = match_records.of(unit, [finding])
        body = hub.findings.open_for(unit, finding, reader="test")
        match_index.index_body(unit, hub.vault, finding, body)
        [after] = match_records.of(unit, [finding])
    assert (before.sketch, before.tokens, before.package) == (
        after.sketch,
        after.tokens,
        after.package,
    )


def test_a_finding_from_before_the_index_is_indexed_when_asked_for(
    hub: Hub, lab_a: Actor, lab_b: Actor, submit: Submit
) -> None:
    """Nothing needs to be done after an upgrade."""
    other = one(submit(lab_a, crash("parse_header")))
    finding = one(submit(lab_b, crash("parse_header")))
    with hub.sessions.transaction() as unit:
        match_records.drop(unit, [finding])
        assert match_records.of(unit, [finding]) == ()
        assert hub.findings.candidates(unit, finding) == (other,)


def test_observed_frames_take_the_place_of_claimed_ones(
    hub: Hub, lab_a: Actor, lab_b: Actor, submit: Submit
) -> None:
    """What a proof showed counts, not what a report says it shows."""
    for n in range(4):
        submit(lab_a, crash(f"other_{n}", title=f"T{n}"))
    real = one(submit(lab_a, crash("inflate_block", "inflate_all", title="Real")))
    liar = one(submit(lab_b, crash("something_else", "made_up", title="Made up")))
    with hub.sessions.transaction() as unit:
        hub.findings.index_signature(unit, liar, ["inflate_block", "inflate_all"])
    first = ranked(hub, liar)[0]
    assert first.finding == real
    assert Layer.FRAMES in first.layers


def test_what_everything_has_in_common_does_not_make_the_index_grow(
    hub: Hub, lab_a: Actor, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token holds a bounded number of findings; who came later is still found by its time."""
    monkeypatch.setattr(match_records, "MOST_HELD", 3)
    found = [one(submit(lab_a, crash("hot_function", title=f"Report {n}"))) for n in range(6)]
    with hub.sessions.transaction() as unit:
        rows = unit.connection.execute(select(match_token.c.token)).scalars().all()
    assert max(rows.count(each) for each in rows) == 3
    assert found[-2] in [each.finding for each in ranked(hub, found[-1])]


def test_ranking_a_batch_takes_as_many_queries_as_ranking_one(
    hub: Hub, database: Engine, lab_a: Actor, submit: Submit
) -> None:
    """However many findings are asked for."""
    found = [one(submit(lab_a, crash(f"f_{n % 3}", title=f"R{n}"))) for n in range(12)]

    def queries(asked: list[FindingId]) -> int:
        count = 0

        def counted(*_: Any) -> None:
            nonlocal count
            count += 1

        event.listen(database, "before_cursor_execute", counted)
        with hub.sessions.transaction() as unit:
            match_index.rank_batch(unit, asked)
        event.remove(database, "before_cursor_execute", counted)
        return count

    assert queries(found) <= queries(found[:1])


def test_reports_far_apart_in_time_are_ranked_by_time_too(
    hub: Hub, lab_a: Actor, submit: Submit, clock: Any
) -> None:
    """Of two alike, the one reported on the same day comes first."""
    for n in range(4):
        submit(lab_a, crash(f"g_{n}", title=f"N{n}"))
    old = one(submit(lab_a, crash("parse_header", "walk", title="Old")))
    clock.advance(timedelta(days=400))
    new = one(submit(lab_a, crash("parse_header", "walk", title="New")))
    asked = one(submit(lab_a, crash("parse_header", "walk", title="Asked")))
    assert [each.finding for each in ranked(hub, asked)][:2] == [new, old]


@given(st.lists(NAMES, max_size=6), st.text(max_size=200), st.lists(NAMES, max_size=4))
def test_sketches_survive_being_stored(frames: list[str], text: str, places: list[str]) -> None:
    """What is read back is what was written."""
    told = signals(title="t", description=text, claim=frames, locations=places)
    sketch = Sketcher(b"k" * 32).sketch(told)
    assert Sketch.from_bytes(sketch.to_bytes()) == sketch
    assert len(Sketcher(b"k" * 32).tokens(told)) <= 20


def test_text_that_is_nearly_the_same_shares_most_of_its_sketch() -> None:
    """A copied description with a changed sentence is recognised; another text is not."""
    words = [f"word{n}" for n in range(60)]
    sketcher = Sketcher(b"k" * 32)

    def sketch(text: list[str]) -> Sketch:
        return sketcher.sketch(signals(title="", description=" ".join(text)))

    from clearhold.findings.likeness import resemblance  # noqa: PLC0415

    near = resemblance(sketch(words), sketch([*words[:55], "quite", "another", "end"]))
    far = resemblance(sketch(words), sketch([f"other{n}" for n in range(60)]))
    assert near > 0.5 > far


def test_only_the_same_proof_shown_twice_is_certain() -> None:
    """Nothing that is merely told joins anything."""
    shown, told = Copy(b"k", reproduced=True), Copy(b"k", reproduced=False)
    assert certain(shown, shown)
    assert not certain(shown, told)
    assert not certain(shown, Copy(b"other", reproduced=True))
    assert not certain(Copy(None, reproduced=True), Copy(None, reproduced=True))
    assert Signals().crash == ""
