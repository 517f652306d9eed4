"""What an operator may rely on when somebody stands between them and the hub."""

import hashlib
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from tiny_hub import START, TinyHub, wheel

from clearhold.adapters.publisher_tuf import TufPublisher
from clearhold.agent.state import AgentState
from clearhold.agent.sync import enrol, last_synced, obtain, sync
from clearhold.kernel.errors import (
    ConflictError,
    IntegrityError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)


def one(directory: Path, pattern: str) -> Path:
    return next(iter(sorted(directory.rglob(pattern))))


def test_a_sync_gives_the_newest_bundle_and_its_files(hub: TinyHub, state: AgentState) -> None:
    hub.release()
    advisory = hub.release()
    synced = sync(state, START)
    assert synced.bundle is not None
    assert (synced.bundle.number, synced.stale) == (2, False)
    assert synced.bundle.advisories == (advisory,)
    assert obtain(state, advisory.remedies[0].artefact, START) == wheel()


def test_a_repository_without_a_bundle_is_simply_empty(state: AgentState) -> None:
    assert sync(state, START).bundle is None
    assert last_synced(state, START).bundle is None


def test_what_was_synced_stays_usable_without_the_repository(
    hub: TinyHub, state: AgentState
) -> None:
    advisory = hub.release()
    artefact = advisory.remedies[0].artefact
    synced = sync(state, START)
    obtain(state, artefact, START)
    shutil.rmtree(hub.repository)
    assert last_synced(state, START) == synced
    assert obtain(state, artefact, START) == wheel()
    with pytest.raises(UnavailableError):
        sync(state, START)
    assert last_synced(state, START + timedelta(days=9)).stale


def test_a_tampered_target_is_refused(hub: TinyHub, state: AgentState) -> None:
    advisory = hub.release()
    blob = one(hub.repository, "*.whl")
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    sync(state, START)
    with pytest.raises(IntegrityError, match="altered or swapped"):
        obtain(state, advisory.remedies[0].artefact, START)


def test_a_tampered_bundle_is_refused_and_the_last_good_one_stays(
    hub: TinyHub, state: AgentState
) -> None:
    hub.release()
    good = sync(state, START)
    hub.release()
    blob = one(hub.repository / "targets" / "bundles", "*.2.json")
    blob.write_bytes(blob.read_bytes().replace(b"parrot", b"carrot"))
    with pytest.raises(IntegrityError):
        sync(state, START)
    assert last_synced(state, START) == good


@pytest.mark.parametrize("role", ["timestamp.json", "2.snapshot.json", "2.targets.json"])
def test_tampered_metadata_is_refused(hub: TinyHub, state: AgentState, role: str) -> None:
    hub.release()
    path = hub.repository / "metadata" / role
    path.write_bytes(path.read_bytes().replace(b'"version":2', b'"version":9', 1))
    with pytest.raises(IntegrityError):
        sync(state, START)


@pytest.mark.parametrize("garbage", [b"", b"{}", b"[" * 5000, b"\xff", b'{"signed":1}'])
def test_garbage_for_metadata_is_refused(hub: TinyHub, state: AgentState, garbage: bytes) -> None:
    (hub.repository / "metadata" / "timestamp.json").write_bytes(garbage)
    with pytest.raises(IntegrityError):
        sync(state, START)


@pytest.mark.parametrize("forget", [False, True])
def test_a_rollback_to_an_older_snapshot_is_refused(
    hub: TinyHub, state: AgentState, tmp_path: Path, *, forget: bool
) -> None:
    hub.release()
    shutil.copytree(hub.repository, tmp_path / "old")
    hub.release()
    newest = sync(state, START)
    shutil.rmtree(hub.repository)
    shutil.copytree(tmp_path / "old", hub.repository)
    if forget:
        shutil.rmtree(state.metadata)
    with pytest.raises(IntegrityError, match="older than"):
        sync(state, START)
    assert last_synced(state, START) == newest


def test_a_frozen_repository_is_refused_once_its_timestamp_expired(
    hub: TinyHub, state: AgentState
) -> None:
    hub.release()
    sync(state, START)
    with pytest.raises(IntegrityError, match="expired"):
        sync(state, START + timedelta(days=2))
    hub.publisher.refresh(START + timedelta(days=2))
    assert not sync(state, START + timedelta(days=2)).stale


def test_a_clock_set_back_does_not_hide_a_freeze(hub: TinyHub, state: AgentState) -> None:
    hub.publisher.refresh(START + timedelta(days=2))
    sync(state, START + timedelta(days=2))
    with pytest.raises(IntegrityError, match="clock"):
        sync(state, START)


def test_a_repository_of_other_keys_is_refused(
    hub: TinyHub, state: AgentState, tmp_path: Path
) -> None:
    other = TufPublisher(tmp_path / "other", tmp_path / "other-keys")
    other.initialise(START)
    shutil.rmtree(hub.repository)
    shutil.copytree(tmp_path / "other", hub.repository)
    with pytest.raises(IntegrityError, match="not signed by the keys of the pinned root"):
        sync(state, START)


def test_a_swapped_pinned_root_is_noticed(hub: TinyHub, state: AgentState, tmp_path: Path) -> None:
    other = TufPublisher(tmp_path / "other", tmp_path / "other-keys")
    other.initialise(START)
    state.root.write_bytes(other.trusted_root())
    with pytest.raises(IntegrityError, match="pinned root"):
        sync(state, START)


def test_nothing_is_trusted_on_first_use(hub: TinyHub, tmp_path: Path) -> None:
    fresh = AgentState(tmp_path / "fresh")
    with pytest.raises(InvalidError, match="first use"):
        enrol(fresh, repository=str(hub.repository), operator="bank", now=START)
    with pytest.raises(IntegrityError, match="not the one"):
        enrol(
            fresh, repository=str(hub.repository), operator="bank", root_sha256="0" * 64, now=START
        )
    with pytest.raises(NotFoundError, match="not enrolled"):
        fresh.enrolment()


def test_a_root_can_be_pinned_by_its_hash(hub: TinyHub, tmp_path: Path) -> None:
    fresh = AgentState(tmp_path / "fresh")
    digest = hashlib.sha256(hub.publisher.trusted_root()).hexdigest()
    for _ in range(2):
        made = enrol(
            fresh, repository=str(hub.repository), operator="bank", root_sha256=digest, now=START
        )
    assert made.root_sha256 == digest
    assert (fresh.path / "operator.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConflictError):
        enrol(fresh, repository=str(hub.repository), operator="spy", root_sha256=digest, now=START)


@pytest.mark.parametrize("operator", ["", "a b", "../x", "x" * 65, "ä"])
def test_odd_pseudonyms_are_refused(hub: TinyHub, tmp_path: Path, operator: str) -> None:
    digest = hashlib.sha256(hub.publisher.trusted_root()).hexdigest()
    with pytest.raises(InvalidError):
        enrol(
            AgentState(tmp_path / "fresh"),
            repository=str(hub.repository),
            operator=operator,
            root_sha256=digest,
            now=START,
        )


def test_a_kept_bundle_altered_on_disk_is_noticed(hub: TinyHub, state: AgentState) -> None:
    hub.release()
    sync(state, START)
    kept = one(state.targets, "bundles*")
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(IntegrityError, match="altered"):
        last_synced(state, START)
    assert sync(state, START).bundle is not None


def test_two_runs_on_one_directory_do_not_mix(state: AgentState) -> None:
    with state.locked(), pytest.raises(ConflictError, match="Another run"):
        sync(state, START)


def test_a_pipe_in_place_of_a_file_does_not_hang_the_agent(hub: TinyHub, state: AgentState) -> None:
    path = hub.repository / "metadata" / "timestamp.json"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UnavailableError):
        sync(state, START)


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing in the test's output."""


@pytest.fixture
def address(hub: TinyHub) -> Iterator[str]:
    handler = partial(Silent, directory=str(hub.repository))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_repository_is_read_over_http(hub: TinyHub, address: str, tmp_path: Path) -> None:
    advisory = hub.release()
    fresh = AgentState(tmp_path / "fresh")
    digest = hashlib.sha256(hub.publisher.trusted_root()).hexdigest()
    enrol(fresh, repository=address, operator="bank", root_sha256=digest, now=START)
    synced = sync(fresh, START)
    assert synced.bundle is not None
    assert obtain(fresh, advisory.remedies[0].artefact, START) == wheel()


def test_a_server_that_is_not_there_is_unavailable(hub: TinyHub, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        enrol(
            AgentState(tmp_path / "fresh"),
            repository="http://127.0.0.1:9",
            operator="bank",
            root_sha256="0" * 64,
            now=START,
        )
