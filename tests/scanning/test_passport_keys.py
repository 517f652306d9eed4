"""The key that signs passports can be changed without any reader meeting one it cannot verify."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhold.adapters.passport_keys_file import PassportKeys
from clearhold.kernel.errors import ClearholdError, ConflictError, IntegrityError, UnavailableError
from clearhold.wire.scan_passport import (
    Signer,
    StatusReference,
    Terms,
    read_keys,
    read_passport,
)

DAY = timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at


def passport(signer: Signer) -> str:
    now = datetime.now(UTC)
    return signer.passport(
        identity="one",
        audience="water",
        holder="h-1",
        issued_at=now,
        expires_at=now + timedelta(hours=1),
        reference=StatusReference(1, "https://hub/list"),
        terms=Terms(
            contact="soc@water.example",
            depth="checks",
            requests_per_second=1,
            sources=("192.0.2.1/32",),
            targets=("host:192.0.2.2",),
            technique="dynamic",
        ),
    )


def test_whoever_fetches_once_a_day_verifies_every_passport_through_a_change(
    tmp_path: Path,
) -> None:
    clock = Clock()
    keys = PassportKeys(tmp_path, clock)
    signer = Signer("https://hub", keys)
    first = read_keys(signer.keys())
    before = passport(signer)
    keys.prepare()
    fetched = read_keys(signer.keys())
    assert read_passport(passport(signer), first).jti == "one"
    with pytest.raises(ConflictError, match="hours"):
        keys.switch(published_for=DAY)
    clock.at += DAY + timedelta(minutes=1)
    keys.switch(published_for=DAY)
    after = passport(signer)
    with pytest.raises(IntegrityError):
        read_passport(after, first)
    for trusted in (fetched, read_keys(signer.keys())):
        assert read_passport(before, trusted).jti == read_passport(after, trusted).jti
    assert keys.drop() == 1
    with pytest.raises(IntegrityError):
        read_passport(before, read_keys(signer.keys()))
    assert read_passport(after, read_keys(signer.keys())).jti == "one"


def test_without_a_next_key_nothing_is_switched_to(tmp_path: Path) -> None:
    keys = PassportKeys(tmp_path, Clock())
    signing = keys()[0].private_bytes_raw()
    with pytest.raises(ConflictError):
        keys.switch(published_for=timedelta(0))
    assert keys()[0].private_bytes_raw() == signing


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    keys = PassportKeys(tmp_path, Clock())
    keys.prepare()
    (tmp_path / "scan-passport-next.ed25519").chmod(0o644)
    with pytest.raises(UnavailableError, match="read by other users"):
        keys()


@pytest.mark.parametrize("call", ["link", "replace"])
def test_a_switch_cut_off_anywhere_signs_with_a_published_key_and_is_finished_by_another(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    keys = PassportKeys(tmp_path, clock)
    old = keys()[0].private_bytes_raw()
    keys.prepare()
    clock.at += timedelta(seconds=1)

    def killed(*_given: object, **_named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os if call == "link" else Path, call, killed)
        keys.switch(published_for=timedelta(0))
    assert keys()[0].private_bytes_raw() == old
    keys.switch(published_for=timedelta(0))
    signing, *others = (each.private_bytes_raw() for each in keys())
    assert signing != old
    assert others == [old]


@settings(max_examples=30)
@given(
    steps=st.lists(st.sampled_from(["prepare", "switch", "drop", "restart"]), max_size=10),
)
def test_whatever_is_done_the_key_that_signs_was_published_before(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("keys")
    clock = Clock()
    keys = PassportKeys(directory, clock)
    seen = {keys()[0].private_bytes_raw()}
    for step in steps:
        clock.at += timedelta(hours=1)
        if step == "restart":
            keys = PassportKeys(directory, clock)
        else:
            attempt(keys, step)
        published = [each.private_bytes_raw() for each in keys()]
        assert published[0] in seen
        assert len(set(published)) == len(published)
        seen.update(published)


def attempt(keys: PassportKeys, step: str) -> None:
    acts: dict[str, Callable[[], object]] = {
        "prepare": keys.prepare,
        "switch": lambda: keys.switch(published_for=timedelta(0)),
        "drop": keys.drop,
    }
    try:
        acts[step]()
    except ClearholdError:
        return
