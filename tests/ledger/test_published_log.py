"""What outsiders see of the ledger: a log that grows alike at every instant and cannot be altered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from ledger_scene import fences_down, write
from sqlalchemy import Engine, func, select, update

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.assembly.hub import Hub
from clearhold.assembly.keys import log_padding, log_signer
from clearhold.delivery.http.app import make_app
from clearhold.kernel.errors import ConflictError, IntegrityError, InvalidError, NotFoundError
from clearhold.kernel.merkle import Frontier, leaf_hash
from clearhold.ledger import audit, bundle, public_log, records
from clearhold.ledger.files import LogFiles
from clearhold.ledger.model import Cadence, Entry, LedgerReport, committed
from clearhold.ledger.public_log import PublicLog
from clearhold.ledger.sequencer import Sequencer
from clearhold.ledger.tables import ledger_leaf, ledger_place, ledger_tree
from clearhold.ledger.tiling import Tiler
from clearhold.settings import Settings
from clearhold.store.unit_of_work import Sessions
from clearhold.wire.signed_note import NoteSigner, open_checkpoint
from in_process_http import client_of

Make = Callable[..., Actor]
MINUTE = timedelta(minutes=1)


class Log:
    """A hub's published log at a cadence that leaves parts of tiles."""

    def __init__(self, hub: Hub, database: Engine, clock: Any, quantum: int) -> None:
        self.settings: Settings = hub.settings
        self.database = database
        self.clock = clock
        self.signer: NoteSigner = log_signer(self.settings)
        ring = FileKeyRing(
            self.settings.key_directory / "ring.json", data_directory=self.settings.data_directory
        )
        self.padding = log_padding(ring)
        self.files = LogFiles(self.settings.log_directory)
        self.sequencer = Sequencer(
            database,
            self.files,
            signer=self.signer,
            padding=self.padding,
            cadence=Cadence(MINUTE, quantum),
            clock=clock,
        )
        self.public = PublicLog(self.files.read, self.signer.verifier)

    def tick(self) -> bytes:
        """The next instant: integrate, publish, and return the checkpoint."""
        self.clock.advance(MINUTE)
        self.sequencer.integrate()
        assert self.sequencer.publish(self.clock.now())
        note = self.files.checkpoint()
        assert note is not None
        return note

    def verify(self) -> LedgerReport:
        with self.database.connect() as connection:
            return audit.verify(connection, padding=self.padding, log=self.public)

    def paths(self) -> set[str]:
        root = self.files.directory
        return {str(each.relative_to(root)) for each in root.rglob("*") if each.is_file()}


@pytest.fixture
def log(hub: Hub, database: Engine, clock: Any) -> Log:
    return Log(hub, database, clock, quantum=300)


def test_growth_is_constant_whatever_happens_and_a_backlog_waits(
    log: Log, sessions: Sessions
) -> None:
    sizes, entries = [], set[bytes]()
    for busy in (0, 7, 0, 320, 0):
        with sessions.transaction() as unit:
            for number in range(busy):
                unit.record("test:thing:do", actor="a", subject=str(number))
        before = log.paths()
        checkpoint = open_checkpoint(log.tick(), log.signer.verifier)
        sizes.append(checkpoint.size)
        shown = {each for each in log.paths() - before if not each.startswith(".")}
        assert not {path for path in shown if "entries" in path and _first(path) >= sizes[-1]}
    assert sizes == [300, 600, 900, 1200, 1500]
    with log.database.connect() as connection:
        size = connection.execute(select(ledger_tree.c.size)).scalar_one()
        last = connection.execute(select(func.max(ledger_place.c.place))).scalar_one()
    assert size == 1500
    assert last == 900 + 320 - 1 >= 1200  # twenty leaves waited for the instant after
    for number in range(6):
        content = log.files.read(f"tile/entries/00{number}") or b""
        content = content or log.files.read("tile/entries/005.p/220") or b""
        entries |= {content[at : at + 34] for at in range(0, len(content), 34)}
    assert len(entries) == 1500
    assert {each[:2] for each in entries} == {b"\x00\x20"}
    assert log.verify().faults == ()
    assert public_log.verify(log.public).faults == ()


def _first(path: str) -> int:
    return int(path.split("/")[2].removesuffix(".p")) * 256


def test_nothing_is_shown_between_the_instants(log: Log, sessions: Sessions) -> None:
    note = log.tick()
    shown = {path: log.files.read(path) for path in log.paths()}
    write(sessions, 5)
    log.clock.advance(timedelta(seconds=59))
    assert log.sequencer.integrate() == 5
    assert not log.sequencer.publish(log.clock.now())
    assert {path: log.files.read(path) for path in log.paths()} == shown
    assert log.files.checkpoint() == note


def test_instants_that_were_missed_show_one_quantum(log: Log) -> None:
    log.tick()
    log.clock.advance(timedelta(days=3))
    assert open_checkpoint(log.tick(), log.signer.verifier).size == 600


def test_a_leaf_can_be_neither_read_nor_tried_out_in_the_published_log(
    log: Log, sessions: Sessions
) -> None:
    write(sessions, 1)
    log.tick()
    with sessions.transaction() as unit:
        (leaf,) = records.leaves(unit.connection)
    published = b"".join(log.files.read(path) or b"" for path in log.paths())
    assert leaf.commitment in published
    assert leaf.salt not in published
    for secret in (b"test:thing", b"actor", str(leaf.at).encode()):
        assert secret not in published
    # Whoever guesses every field, but not the salt, has nothing to compare.
    entry = Entry(leaf.at, leaf.actor, leaf.action, leaf.subject, leaf.compartment, leaf.detail)
    assert committed(leaf.seq, entry, previous=None, salt=leaf.salt).commitment in published
    guessed = committed(leaf.seq, entry, previous=None, salt=bytes(32))
    assert guessed.commitment not in published
    assert guessed.hash not in published


def test_a_changed_removed_or_longer_file_is_found_and_named(log: Log, sessions: Sessions) -> None:
    write(sessions, 5)
    for _ in range(3):
        log.tick()
    outgrown = {"tile/1/000.p/1", "tile/1/000.p/2"}  # of checkpoints that were replaced
    assert outgrown <= log.paths()
    assert log.verify().intact
    for path in sorted(log.paths()):
        place = log.files.directory / path
        content = place.read_bytes()
        for at in (0, len(content) // 2, len(content) - 1):
            place.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            assert any(path in fault for fault in log.verify().faults), (path, at)
            assert path in outgrown or not outsider_content(log), (path, at)
        place.write_bytes(content + b"\0")
        assert any(path in fault for fault in log.verify().faults), path
        place.unlink()
        if path not in outgrown:
            assert any(path in fault for fault in log.verify().faults), path
            assert not outsider_content(log), path
        place.write_bytes(content)
    assert log.verify().intact
    assert outsider_content(log)


def outsider_content(log: Log) -> bool:
    """Whether who has only the files and the key finds nothing wrong."""
    try:
        return public_log.verify(log.public).intact
    except (InvalidError, IntegrityError, NotFoundError):
        return False


def test_a_row_changed_with_a_fitting_commitment_is_found_by_what_was_published(
    log: Log, sessions: Sessions
) -> None:
    write(sessions, 3)
    log.tick()
    fences_down(log.database)
    with sessions.transaction() as unit:
        leaf = next(iter(records.leaves(unit.connection, after=1)))
    entry = Entry(leaf.at, "mallory", leaf.action, leaf.subject, None, leaf.detail)
    forged = committed(leaf.seq, entry, previous=None, salt=leaf.salt)
    with log.database.begin() as connection:
        connection.execute(
            update(ledger_leaf)
            .where(ledger_leaf.c.seq == leaf.seq)
            .values(actor="mallory", commitment=forged.commitment)
        )
    faults = log.verify().faults
    assert f"place {leaf.seq - 1} was published with another entry; leaf 2 stands there now" in (
        faults
    )


def test_an_older_copy_of_the_database_is_not_published_on(log: Log, sessions: Sessions) -> None:
    log.tick()
    with log.database.connect() as connection:
        copy = connection.execute(select(ledger_tree)).one()._asdict()
    note = log.tick()
    with log.database.begin() as connection:
        connection.execute(update(ledger_tree).values(copy))
    log.clock.advance(MINUTE)
    with pytest.raises(IntegrityError, match="older copy"):
        log.sequencer.publish(log.clock.now())
    assert log.files.checkpoint() == note


def test_nothing_is_signed_on_top_of_what_was_changed(log: Log, sessions: Sessions) -> None:
    log.tick()
    note = log.tick()
    with log.database.connect() as connection:
        edge = connection.execute(select(ledger_tree.c.published_edge)).scalar_one()
    log.clock.advance(MINUTE)
    for changed in (bytes(len(edge)), b"", edge + bytes(32)):
        with log.database.begin() as connection:
            connection.execute(update(ledger_tree).values(published_edge=changed))
        with pytest.raises(IntegrityError, match="were changed"):
            log.sequencer.publish(log.clock.now())
        assert log.files.checkpoint() == note
        assert any("edge" in fault for fault in log.verify().faults)
    with log.database.begin() as connection:
        connection.execute(update(ledger_tree).values(published_edge=edge))
    assert log.sequencer.publish(log.clock.now())
    assert log.verify().intact


def test_a_new_key_begins_a_log_anew(log: Log, hub: Hub) -> None:
    log.tick()
    (log.settings.key_directory / "log.ed25519").unlink()
    renewed = Log(hub, log.database, log.clock, quantum=300)
    assert renewed.signer.verifier != log.signer.verifier
    assert open_checkpoint(renewed.tick(), renewed.signer.verifier).size == 600
    assert renewed.verify().intact
    assert public_log.verify(renewed.public).intact


def test_lost_files_come_back_as_they_were(log: Log, sessions: Sessions) -> None:
    write(sessions, 4)
    log.tick()
    log.tick()
    outgrown = log.paths() & {"tile/1/000.p/1"}
    before = {path: log.files.read(path) for path in log.paths() - outgrown}
    shutil.rmtree(log.files.directory)
    assert not log.sequencer.publish(log.clock.now())
    assert {path: log.files.read(path) for path in log.paths()} == before


def test_a_log_that_does_not_continue_what_was_seen_is_found(log: Log, sessions: Sessions) -> None:
    seen = log.tick()
    for _ in range(2):
        log.tick()
        report = public_log.verify(log.public, since=seen)
        assert report.intact
        assert report.continues == 300
    newest = log.files.checkpoint() or b""
    assert public_log.verify(log.public, since=newest).intact
    checkpoint = open_checkpoint(seen, log.signer.verifier)
    forked = log.signer.sign(checkpoint.text.replace(checkpoint.text.split("\n")[2], _root()))
    assert not public_log.verify(log.public, since=forked).intact
    log.files.write_checkpoint(seen)
    assert public_log.verify(log.public).intact
    assert not public_log.verify(log.public, since=newest).intact


def _root() -> str:
    return "A" * 43 + "="


def test_whoever_may_see_a_leaf_can_prove_it_to_anybody(log: Log, hub: Hub, party_of: Make) -> None:
    finder, other = party_of(PartyKind.FINDER), party_of(PartyKind.FINDER)
    lodged = hub.ledger.lodge(finder, b"\x07" * 32)
    with pytest.raises(ConflictError, match="not reach"):
        hub.ledger.prove(finder, lodged.leaf)
    log.sequencer.integrate()
    with pytest.raises(ConflictError, match="not reach"):
        hub.ledger.prove(finder, lodged.leaf)
    for _ in range(3):
        log.tick()
        inclusion = hub.ledger.prove(finder, lodged.leaf)
        content = json.dumps(bundle.write(inclusion)).encode()
        found = bundle.check(content, log.signer.verifier)
        assert found.leaf.detail["commitment"] == (b"\x07" * 32).hex()
        assert found.checkpoint.time == log.clock.now()
    for stranger in (lodged.leaf, 10**6):
        with pytest.raises(NotFoundError, match="no such leaf"):
            hub.ledger.prove(other, stranger)


def test_a_proof_from_a_changed_tile_is_not_given(log: Log, hub: Hub, party_of: Make) -> None:
    finder = party_of(PartyKind.FINDER)
    lodged = hub.ledger.lodge(finder, b"\x07" * 32)
    log.tick()
    tile = log.files.directory / "tile" / "0" / "000"
    tile.write_bytes(bytes(len(tile.read_bytes())))
    with pytest.raises(IntegrityError):
        hub.ledger.prove(finder, lodged.leaf)


def test_the_log_is_served_to_everybody_and_nothing_beside_it(
    log: Log, hub: Hub, sessions: Sessions
) -> None:
    client = client_of(make_app(hub), {})
    assert client.get("/log/checkpoint").status_code == 404
    note = log.tick()
    assert client.get("/log/checkpoint").content == note
    served = PublicLog(
        lambda path: (
            answer.content if (answer := client.get(f"/log/{path}")).status_code == 200 else None
        ),
        log.signer.verifier,
    )
    assert public_log.verify(served).intact
    (log.files.directory / "secret").write_text("x")
    (log.files.directory / "tile" / ".000.new").write_text("x")
    for path in ("secret", "tile/.000.new", "tile/../secret", "tile/%2e%2e/secret", "tile/0", ""):
        assert client.get(f"/log/{path}").status_code == 404, path


def test_tiles_and_checkpoint_are_read_by_an_independent_implementation(
    log: Log, sessions: Sessions
) -> None:
    other = pytest.importorskip("aics_tlog", reason="it needs Python 3.12")
    write(sessions, 9)
    notes = [log.tick() for _ in range(4)]
    key = other.parse_vkey(str(log.signer.verifier))
    reader = other.FileSystemTileReader(log.files.directory)
    sizes = []
    for note in notes:
        checkpoint = other.parse_checkpoint(other.parse_note(note.decode()).text)
        assert other.verify_checkpoint(other.parse_note(note.decode()), key).ok
        sizes.append((checkpoint.size, checkpoint.root))
    size, root = sizes[-1]
    other.audit_tiles(reader, size, root)
    older, older_root = sizes[0]
    proof = other.consistency_proof_from_tiles(reader, older, size)
    assert other.verify_consistency(older, size, older_root, root, proof)


def test_tiles_of_every_level_make_the_tree_that_the_leaves_make() -> None:
    tiler, frontier = Tiler(), Frontier()
    row = [bytes(32)] * 256
    for _ in range(260):
        for _cut in tiler.row(row):
            pass
        frontier = frontier.extended(map(leaf_hash, row))
        again = Tiler(tiler.size + 5, tiler.edge)
        assert (again.size, again.edge) == (tiler.size, tiler.edge)
    assert tiler.root() == frontier.root()
    assert tiler.root(row[:7]) == frontier.extended(map(leaf_hash, row[:7])).root()
    assert {tile.path for tile, _ in tiler.partial()} == {"tile/1/001.p/4", "tile/2/000.p/1"}
