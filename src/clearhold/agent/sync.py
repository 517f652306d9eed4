"""Learning what was published: a TUF client (specification 1.0.34) and the newest bundle.

Trust starts from the first root, pinned at enrolment by file or SHA-256; nothing is trusted on first
use. Older, frozen or altered repositories are refused and the last good state stays in use.
Repositories are directories (`file://` or a path, for example a carried disk) or `http(s)` places.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote, urlsplit

import msgspec
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Targets, Timestamp
from tuf.ngclient import Updater, UpdaterConfig

from clearhold.agent.fetching import RepositoryFetcher
from clearhold.agent.state import AgentState, Enrolment, read_file, write_file
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    IntegrityError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from clearhold.wire import bundle as bundle_format
from clearhold.wire.bundle import Bundle, Target, bundle_number

_ROOT_BYTES: Final = 512_000
_CLOCK_SLACK: Final = timedelta(minutes=5)

_CONFIG: Final = UpdaterConfig(targets_max_length=64 * 1024 * 1024)


class LastSync(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the last good sync saw; later syncs may only go forward from here."""

    at: datetime
    timestamp_version: Annotated[int, msgspec.Meta(ge=1)]
    expires: datetime
    bundle_number: Annotated[int, msgspec.Meta(ge=0)]
    bundle: Target | None


@dataclass(frozen=True, slots=True)
class Synced:
    """The newest verified bundle (None when none was published yet) and when its proof runs out.

    `stale` says that the repository's own expiry has passed at the time of asking.
    """

    bundle: Bundle | None
    bundle_sha256: str
    at: datetime
    timestamp_version: int
    expires: datetime
    stale: bool


def enrol(
    state: AgentState,
    *,
    repository: str,
    operator: str,
    root: Path | None = None,
    root_sha256: str | None = None,
    now: datetime,
) -> Enrolment:
    """Pin the repository's first root and make the operator's key.

    `root` is the root file got over a trusted way; `root_sha256` is its SHA-256 (then the file is
    fetched); with both, both must agree. Raises `InvalidError` without either, `IntegrityError`
    when they do not match what the repository gives, `ConflictError` when already enrolled with
    something else. Enrolling again with the same values changes nothing.
    """
    if root is None and root_sha256 is None:
        raise InvalidError(
            "Nothing to trust was given: a repository is never trusted on first use.",
            next_step="Give --root FILE or --root-sha256 HEX, got from the hub over another way.",
        )
    place = _repository_url(repository)
    if root is not None:
        data = read_file(root, limit=_ROOT_BYTES)
        if data is None:
            raise NotFoundError(
                f"There is no root file {root}.", next_step="Check the path of the root file."
            )
    else:
        data = _fetch_root(place)
    digest = hashlib.sha256(data).hexdigest()
    if root_sha256 is not None and digest != root_sha256.strip().lower():
        raise IntegrityError(
            f"The root has SHA-256 {digest}, not the one that was given.",
            next_step="Do not enrol. Ask the hub, over another way, which root is theirs.",
        )
    with state.locked():
        present = state.load("enrolment.json", Enrolment)
        enrolment = _checked(
            Enrolment(
                operator=operator,
                repository=place,
                root_sha256=digest,
                salt=present.salt if present else secrets.token_hex(32),
                enrolled=present.enrolled if present else now.astimezone(UTC),
            )
        )
        if present is not None and present != enrolment:
            raise ConflictError(
                "This directory belongs to another enrolment.",
                next_step="Enrol in a new state directory.",
            )
        with _plain_errors():
            _updater(state, place, data, now)
        state.create_key()
        write_file(state.root, data)
        state.save("enrolment.json", enrolment)
    return enrolment


def sync(state: AgentState, now: datetime) -> Synced:
    """Fetch, verify and keep the newest metadata and bundle.

    Raises `IntegrityError` when something is altered, older than what was seen, expired or signed
    by others; `UnavailableError` when the repository cannot be reached. Nothing changes then.
    """
    with state.locked():
        enrolment = state.enrolment()
        before = _last_sync(state)
        if before is not None and now < before.at - _CLOCK_SLACK:
            raise IntegrityError(
                f"The clock says {now:%Y-%m-%d %H:%M} UTC, before the last sync: expiry means "
                "nothing with a clock that runs back.",
                next_step="Set the clock right, then sync again.",
            )
        with _plain_errors():
            updater = _updater(state, enrolment.repository, _pinned_root(state, enrolment), now)
            updater.refresh()
            timestamp = _local_timestamp(state)
            if before is not None and timestamp.version < before.timestamp_version:
                raise BadVersionNumberError
            number, path = _newest_bundle(state)
            if before is not None and number < before.bundle_number:
                raise IntegrityError(
                    f"The repository's newest bundle is {number}, but bundle "
                    f"{before.bundle_number} was seen before.",
                    next_step="Keep the last good state and report this to the hub's coordinator.",
                )
            target, data = None, b""
            if number:
                data = _download(state, updater, path, None)
                target = bundle_format.target_of(path, data)
        bundle = bundle_format.read(data) if number else None
        if bundle is not None and bundle.number != number:
            raise IntegrityError(
                f"The bundle published as number {number} calls itself {bundle.number}.",
                next_step="Keep the last good state and report this to the hub's coordinator.",
            )
        record = LastSync(
            at=max(now, before.at) if before else now,
            timestamp_version=timestamp.version,
            expires=timestamp.expires,
            bundle_number=number,
            bundle=target,
        )
        state.save("sync.json", record)
        return _synced(record, bundle, now)


def last_synced(state: AgentState, now: datetime) -> Synced:
    """What the last sync left, without any network; `stale` when its proof has run out.

    Raises `NotFoundError` before the first sync and `IntegrityError` when the kept bundle is not
    the one that was verified.
    """
    state.enrolment()
    record = _last_sync(state)
    if record is None:
        raise NotFoundError(
            "This agent has not synced yet.", next_step="Run clearhold agent sync first."
        )
    bundle = None
    if record.bundle is not None:
        bundle = bundle_format.read(kept(state, record.bundle))
    return _synced(record, bundle, now)


def obtain(state: AgentState, target: Target, now: datetime) -> bytes:
    """The content of a target that a verified bundle names, from here or from the repository.

    It must be what the bundle says *and* what the signed file list says. Raises as `sync`.
    """
    with state.locked():
        enrolment = state.enrolment()
        with contextlib.suppress(NotFoundError, IntegrityError):
            return kept(state, target)
        with _plain_errors():
            updater = _updater(state, enrolment.repository, _pinned_root(state, enrolment), now)
            updater.refresh()
            return _download(state, updater, target.path, target)


def kept(state: AgentState, target: Target) -> bytes:
    """The content of a target fetched before, without any network.

    Raises `NotFoundError` when it is not here and `IntegrityError` when it was altered here.
    """
    try:
        data = read_file(_kept(state, target.path), limit=target.length)
    except TooLargeError:
        data = b""
    if data is None:
        raise NotFoundError(
            f"{target.path} was not fetched yet.",
            next_step="Run clearhold agent sync while the repository can be reached.",
        )
    if hashlib.sha256(data).hexdigest() != target.sha256:
        raise IntegrityError(
            f"The kept copy of {target.path} was altered since it was verified.",
            next_step="Run clearhold agent sync again.",
        )
    return data


def _synced(record: LastSync, bundle: Bundle | None, now: datetime) -> Synced:
    return Synced(
        bundle=bundle,
        bundle_sha256=record.bundle.sha256 if record.bundle else "",
        at=record.at,
        timestamp_version=record.timestamp_version,
        expires=record.expires,
        stale=now >= record.expires,
    )


def _last_sync(state: AgentState) -> LastSync | None:
    return state.load("sync.json", LastSync)


def _checked(enrolment: Enrolment) -> Enrolment:
    try:
        return msgspec.convert(msgspec.to_builtins(enrolment), Enrolment)
    except msgspec.ValidationError as error:
        raise InvalidError(
            f"The enrolment is not acceptable: {error}.",
            next_step="Use a short operator pseudonym of letters, digits and . _ -",
        ) from error


def _repository_url(repository: str) -> str:
    scheme = urlsplit(repository).scheme
    if scheme in {"http", "https", "file"}:
        return repository.rstrip("/")
    if scheme and "/" not in repository.split(":", 1)[0] and "://" in repository:
        raise InvalidError(
            f"Repositories cannot be reached by {scheme!r}.",
            next_step="Give a directory, a file:// or an http(s):// address.",
        )
    return f"file://{quote(str(Path(repository).resolve()))}"


def _fetch_root(place: str) -> bytes:
    with _plain_errors():
        return RepositoryFetcher().download_bytes(f"{place}/metadata/1.root.json", _ROOT_BYTES)


def _pinned_root(state: AgentState, enrolment: Enrolment) -> bytes:
    data = read_file(state.root, limit=_ROOT_BYTES)
    if data is None or hashlib.sha256(data).hexdigest() != enrolment.root_sha256:
        raise IntegrityError(
            "The pinned root is missing or was altered since enrolment.",
            next_step="Enrol in a new state directory with a root got over a trusted way.",
        )
    return data


def _updater(state: AgentState, place: str, root: bytes, now: datetime) -> Updater:
    state.metadata.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.targets.mkdir(mode=0o700, parents=True, exist_ok=True)
    updater = Updater(
        metadata_dir=str(state.metadata),
        metadata_base_url=f"{place}/metadata/",
        target_dir=str(state.targets),
        target_base_url=f"{place}/targets/",
        fetcher=RepositoryFetcher(),
        config=_CONFIG,
        bootstrap=root,
    )
    # The library offers no other way to judge expiry by the caller's clock.
    updater._trusted_set.reference_time = now.astimezone(UTC)  # noqa: SLF001
    return updater


def _newest_bundle(state: AgentState) -> tuple[int, str]:
    """The highest bundle in the file list that `refresh` has just verified and kept."""
    metadata: Metadata[Targets] = Metadata.from_file(str(state.metadata / "targets.json"))
    numbered = ((bundle_number(path), path) for path in metadata.signed.targets)
    return max(((n, path) for n, path in numbered if n is not None), default=(0, ""))


def _local_timestamp(state: AgentState) -> Timestamp:
    metadata: Metadata[Timestamp] = Metadata.from_file(str(state.metadata / "timestamp.json"))
    return metadata.signed


def _kept(state: AgentState, path: str) -> Path:
    return state.targets / quote(path, "")


def _download(state: AgentState, updater: Updater, path: str, expected: Target | None) -> bytes:
    info = updater.get_targetinfo(path)
    if info is None:
        raise IntegrityError(
            f"The repository's signed list does not hold {path}.",
            next_step="Sync again; if it stays so, report this to the hub's coordinator.",
        )
    if expected is not None and (
        info.length != expected.length or info.hashes.get("sha256") != expected.sha256
    ):
        raise IntegrityError(
            f"The bundle and the repository's signed list disagree about {path}.",
            next_step="Sync again; if it stays so, report this to the hub's coordinator.",
        )
    place = _kept(state, path)
    if updater.find_cached_target(info, str(place)) is None:
        updater.download_target(info, str(place))
    data = place.read_bytes()
    info.verify_length_and_hashes(data)
    return data


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Say in plain words what the client library refused, and what to do."""
    keep = "Keep the last good state and report this to the hub's coordinator."
    try:
        yield
    except ClearholdError:
        raise
    except ExpiredMetadataError as error:
        raise IntegrityError(
            "The repository's signatures have expired: it may be frozen, or the clock be wrong.",
            next_step="Check the clock; fetch a current copy; else ask the hub's coordinator.",
        ) from error
    except BadVersionNumberError as error:
        raise IntegrityError(
            "The repository is older than what this agent has already seen (rolled back).",
            next_step=keep,
        ) from error
    except UnsignedMetadataError as error:
        raise IntegrityError(
            "The repository's metadata is not signed by the keys of the pinned root.",
            next_step=keep,
        ) from error
    except (LengthOrHashMismatchError, DownloadLengthMismatchError) as error:
        raise IntegrityError(
            "A file of the repository is not what its signed list says (altered or swapped).",
            next_step=keep,
        ) from error
    except RepositoryError as error:
        raise IntegrityError(
            "The repository's metadata is damaged or altered.", next_step=keep
        ) from error
    except DownloadHTTPError as error:
        raise UnavailableError(
            f"The repository lacks a file it needs (status {error.status_code}).",
            next_step="Check the repository's address, or carry a complete copy.",
        ) from error
    except DownloadError as error:
        raise UnavailableError(
            "The repository cannot be reached.",
            next_step="Check the address and the connection; the last good state stays usable.",
        ) from error
