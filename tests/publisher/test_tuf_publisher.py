"""What readers of the repository may rely on, whatever happens to the publisher."""

import hashlib
import os
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tuf.ngclient import Updater

from clearhold.adapters import publisher_tuf
from clearhold.adapters.publisher_tuf import TufPublisher
from clearhold.agent.fetching import RepositoryFetcher
from clearhold.kernel.errors import IntegrityError, InvalidError, NotFoundError
from clearhold.wire.bundle import safe_target_path

START = datetime(2026, 6, 5, 12, tzinfo=UTC)


def read(repository: Path, path: str, *, at: datetime = START, seen: Path | None = None) -> bytes:
    """What a reader gets who pinned the first root; `seen` remembers between reads."""
    directory = seen or repository.parent / f"reader-{os.urandom(4).hex()}"
    (directory / "targets").mkdir(parents=True, exist_ok=True)
    updater = Updater(
        metadata_dir=str(directory),
        metadata_base_url=f"file://{repository}/metadata/",
        target_dir=str(directory / "targets"),
        target_base_url=f"file://{repository}/targets/",
        fetcher=RepositoryFetcher(),
        bootstrap=(repository / "metadata" / "1.root.json").read_bytes(),
    )
    updater._trusted_set.reference_time = at
    updater.refresh()
    info = updater.get_targetinfo(path)
    assert info is not None, f"{path} is not listed"
    return Path(updater.download_target(info)).read_bytes()


def test_a_reader_gets_what_was_published(publisher: TufPublisher, repository: Path) -> None:
    version = publisher.publish(
        {"advisories/A-1/csaf.json": b"{}", "patches/c/a-1.whl": b"x"}, START
    )
    assert version == 2
    assert read(repository, "advisories/A-1/csaf.json") == b"{}"
    assert read(repository, "patches/c/a-1.whl") == b"x"
    digest = hashlib.sha256(b"x").hexdigest()
    assert publisher.published()["patches/c/a-1.whl"] == (digest, 1)


def test_publishing_the_same_again_makes_no_new_version(
    publisher: TufPublisher, repository: Path
) -> None:
    first = publisher.publish({"a.json": b"1"}, START)
    before = sorted(repository.rglob("*"))
    timestamp = (repository / "metadata" / "timestamp.json").read_bytes()
    assert publisher.publish({"a.json": b"1"}, START + timedelta(hours=1)) == first
    assert sorted(repository.rglob("*")) == before
    assert (repository / "metadata" / "timestamp.json").read_bytes() == timestamp


def test_initialising_again_changes_nothing(publisher: TufPublisher, repository: Path) -> None:
    root = publisher.trusted_root()
    publisher.publish({"a.json": b"1"}, START)
    assert publisher.initialise(START + timedelta(days=1)) == 2
    assert publisher.trusted_root() == root


def test_what_was_published_before_stays(publisher: TufPublisher, repository: Path) -> None:
    publisher.publish({"a.json": b"1"}, START)
    publisher.publish({"b.json": b"2"}, START)
    assert (read(repository, "a.json"), read(repository, "b.json")) == (b"1", b"2")


def test_a_damaged_file_is_put_back_by_publishing_it_again(
    publisher: TufPublisher, repository: Path
) -> None:
    publisher.publish({"d/a.json": b"good"}, START)
    next((repository / "targets" / "d").iterdir()).write_bytes(b"evil")
    assert publisher.publish({"d/a.json": b"good"}, START) == 2
    assert read(repository, "d/a.json") == b"good"


def test_keys_are_separate_secret_and_outside_the_repository(
    publisher: TufPublisher, repository: Path, tmp_path: Path
) -> None:
    keys = sorted((tmp_path / "keys").glob("*.pem"))
    assert [each.stem for each in keys] == ["root", "snapshot", "targets", "timestamp"]
    assert {each.stat().st_mode & 0o777 for each in keys} == {0o600}
    assert len({each.read_bytes() for each in keys}) == 4
    for inside in (repository / "keys", repository, repository.parent):
        with pytest.raises(InvalidError):
            TufPublisher(repository, inside)


def test_a_key_others_can_read_is_refused(publisher: TufPublisher, tmp_path: Path) -> None:
    (tmp_path / "keys" / "timestamp.pem").chmod(0o644)
    with pytest.raises(InvalidError, match="read by others"):
        publisher.refresh(START)


def test_lost_keys_are_not_silently_replaced(
    publisher: TufPublisher, repository: Path, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "keys")
    with pytest.raises(IntegrityError, match="missing"):
        publisher.publish({"a.json": b"1"}, START)
    with pytest.raises(IntegrityError, match="missing"):
        publisher.initialise(START)


def test_foreign_metadata_is_not_built_upon(
    publisher: TufPublisher, repository: Path, tmp_path: Path
) -> None:
    other = TufPublisher(tmp_path / "other", tmp_path / "other-keys")
    other.initialise(START)
    shutil.copy(tmp_path / "other/metadata/timestamp.json", repository / "metadata/timestamp.json")
    with pytest.raises(IntegrityError):
        publisher.publish({"a.json": b"1"}, START)


def test_publishing_before_initialising_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        TufPublisher(tmp_path / "r", tmp_path / "k").publish({"a": b""}, START)
    with pytest.raises(NotFoundError):
        TufPublisher(tmp_path / "r", tmp_path / "k").trusted_root()


@pytest.mark.parametrize(
    "path", ["", "/a", "../a", "a/../b", "a//b", ".hidden", "a/.x", "a b", "a\n", "ä", "a/" * 9]
)
def test_odd_target_paths_are_refused(publisher: TufPublisher, path: str) -> None:
    with pytest.raises(InvalidError):
        publisher.publish({path: b""}, START)


@given(st.text(max_size=40))
def test_a_safe_path_stays_below_the_targets(path: str) -> None:
    if safe_target_path(path):
        assert Path("/t").joinpath(path).resolve().is_relative_to("/t")
        assert not any(part.startswith(".") for part in path.split("/"))


def test_refreshing_keeps_readers_content_for_years(
    publisher: TufPublisher, repository: Path, tmp_path: Path
) -> None:
    publisher.publish({"a.json": b"1"}, START)
    seen = tmp_path / "reader"
    for days in range(0, 800, 40):
        at = START + timedelta(days=days)
        publisher.refresh(at)
        assert read(repository, "a.json", at=at, seen=seen) == b"1"
    assert len(list((repository / "metadata").glob("*.root.json"))) > 1


def _count_writes(action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> int:
    count = 0
    real = publisher_tuf._write

    def counted(path: Path, data: bytes, *, mode: int = 0o644) -> None:
        nonlocal count
        count += 1
        real(path, data, mode=mode)

    with monkeypatch.context() as patch:
        patch.setattr(publisher_tuf, "_write", counted)
        action()
    return count


def _killed_at(point: int, when: str, action: Callable[[], object]) -> None:
    """Run `action` in a child that is killed with SIGKILL around its write number `point`."""
    child = os.fork()
    if child == 0:
        written = 0
        real = publisher_tuf._write

        def deadly(path: Path, data: bytes, *, mode: int = 0o644) -> None:
            nonlocal written
            written += 1
            if written == point and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            if written == point and when == "during":
                Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
            real(path, data, mode=mode)
            if written == point:
                os.kill(os.getpid(), signal.SIGKILL)

        publisher_tuf._write = deadly
        try:
            action()
        finally:
            os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child should have been killed"


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_publisher_killed_at_any_write_leaves_a_good_repository(
    when: str,
    publisher: TufPublisher,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publisher.publish({"a.json": b"0"}, START)
    seen = tmp_path / "reader"
    rounds = iter(range(1, 100))

    def publish() -> None:
        publisher.publish({"a.json": b"%d" % number, f"n/{number}.json": b"n"}, START)

    number = next(rounds)
    writes = _count_writes(publish, monkeypatch)
    assert writes == 5
    assert read(repository, "a.json", seen=seen) == b"1"
    for point in range(1, writes + 1):
        before, number = number, next(rounds)
        _killed_at(point, when, publish)
        assert read(repository, "a.json", seen=seen) in {b"%d" % before, b"%d" % number}
        publish()
        assert read(repository, "a.json", seen=seen) == b"%d" % number
        assert read(repository, f"n/{number}.json", seen=seen) == b"n"
    assert not list((repository / "metadata").glob(".partial*"))


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_initialising_killed_at_any_write_is_completed_by_the_next(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TufPublisher(tmp_path / "w", tmp_path / "wk")
    writes = _count_writes(lambda: whole.initialise(START), monkeypatch)
    assert writes == 8
    for point in range(1, writes + 1):
        made = TufPublisher(tmp_path / f"r{point}", tmp_path / f"k{point}")
        _killed_at(point, when, lambda made=made: made.initialise(START))  # type: ignore[misc]
        made.initialise(START)
        made.publish({"a.json": b"1"}, START)
        assert read(tmp_path / f"r{point}", "a.json") == b"1"


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["a", "b/c", "b/d"]), st.binary(max_size=3), max_size=3),
        max_size=4,
    )
)
def test_readers_see_the_last_content_of_every_path(
    tmp_path: Path, releases: list[dict[str, bytes]]
) -> None:
    place = tmp_path / os.urandom(8).hex()
    publisher = TufPublisher(place / "r", place / "k")
    publisher.initialise(START)
    expected: dict[str, bytes] = {}
    for release in releases:
        publisher.publish(release, START)
        expected |= release
    for path, data in expected.items():
        assert read(place / "r", path) == data
