"""What sealing costs: fields, compartments, wrapped keys in a file and in a token, age to people."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import tink
from cryptography.fernet import Fernet
from tink import aead

from benchmarks.figure import Figure, median_seconds
from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.adapters.keys_pkcs11 import Pkcs11KeyRing
from clearhold.delivery.cli.system_checks import SOFT_TOKEN
from clearhold.kernel.ids import CompartmentId
from clearhold.ports.keys import KeyRing
from clearhold.store.database import migrate, open_engine
from clearhold.store.unit_of_work import Sessions
from clearhold.vault import envelope
from clearhold.vault.service import Vault

_CONTENT = secrets.token_bytes(4096)
_WITHIN = CompartmentId("0190a0b0-0000-7000-8000-000000000000")
_PLACE = ("finding", "body", "0190a0b0-0000-7000-8000-000000000001")
_KEY = secrets.token_bytes(32)
_PIN = "benchmark"


def run(*, full: bool) -> Iterator[Figure]:
    """Medians in microseconds, each beside a peer that does the like in the same run."""
    times = 5000 if full else 1000
    yield from _fields(times)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        ring = FileKeyRing(root / "keys" / "ring.json", data_directory=root / "data")
        yield _compartments(root, ring, times=times // 5)
        yield _wrapping(ring, "a file", times=times)
        if SOFT_TOKEN.exists():
            yield _wrapping(_token(root), "a token (SoftHSM)", times=times // 5)
    yield from _people(times // 5)


def _figure(
    figure: str,
    on: str,
    size: int,
    *,
    ours: Callable[[], object],
    peer: tuple[str, Callable[[], object]],
    goal: float,
) -> Figure:
    mine = median_seconds(ours, times=size) * 1e6
    theirs = median_seconds(peer[1], times=size) * 1e6
    return Figure(
        bench="secrecy",
        figure=figure,
        input=on,
        size=size,
        ours=round(mine, 1),
        unit="us",
        peer=peer[0],
        peer_value=round(theirs, 1),
        ratio=round(mine / theirs, 2),
        goal=goal,
        met=mine <= goal,
    )


def _fields(times: int) -> Iterator[Figure]:
    sealed = envelope.close(_KEY, _WITHIN, place=_PLACE, content=_CONTENT)
    fernet = Fernet(Fernet.generate_key())
    foreign = fernet.encrypt(_CONTENT)
    aead.register()
    primitive = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM).primitive(aead.Aead)
    theirs = primitive.encrypt(_CONTENT, b"place")

    def close() -> bytes:
        return envelope.close(_KEY, _WITHIN, place=_PLACE, content=_CONTENT)

    def reopen() -> bytes:
        return envelope.reopen(_KEY, _WITHIN, place=_PLACE, sealed=sealed)

    for name, ours, peers in (
        (
            "p50 of sealing a field",
            close,
            (
                ("Fernet", lambda: fernet.encrypt(_CONTENT)),
                ("Tink AES256_GCM", lambda: primitive.encrypt(_CONTENT, b"place")),
            ),
        ),
        (
            "p50 of opening a field",
            reopen,
            (
                ("Fernet", lambda: fernet.decrypt(foreign)),
                ("Tink AES256_GCM", lambda: primitive.decrypt(theirs, b"place")),
            ),
        ),
    ):
        for peer in peers:
            yield _figure(
                name, "fields of 4 KiB, key at hand", times, ours=ours, peer=peer, goal=20
            )


def _compartments(root: Path, ring: KeyRing, *, times: int) -> Figure:
    clock = SystemClock()
    database = open_engine(f"sqlite:///{root / 'data' / 'bench.db'}")
    migrate(database)
    sessions = Sessions(database, clock=clock, engine=MemoryEngine(clock))
    vault = Vault(ring, LocalBlobs(root / "data" / "blobs"))
    with sessions.transaction() as unit:
        figure = _figure(
            "p50 of a new compartment",
            "compartments in one transaction on SQLite",
            times,
            ours=lambda: vault.open_compartment(unit),
            peer=("Fernet.generate_key, kept nowhere", Fernet.generate_key),
            goal=1000,
        )
    database.dispose()
    return figure


def _wrapping(ring: KeyRing, where: str, *, times: int) -> Figure:
    fernet = Fernet(Fernet.generate_key())

    def both() -> bytes:
        return ring.unwrap(ring.wrap(_KEY, context=b"compartment"), context=b"compartment")

    return _figure(
        f"p50 of wrapping and unwrapping a key in {where}",
        "keys of 32 bytes",
        times,
        ours=both,
        peer=("Fernet, key at hand", lambda: fernet.decrypt(fernet.encrypt(_KEY))),
        goal=2000,
    )


def _token(root: Path) -> Pkcs11KeyRing:
    (root / "tokens").mkdir()
    (root / "softhsm2.conf").write_text(f"directories.tokendir = {root / 'tokens'}\n")
    os.environ["SOFTHSM2_CONF"] = str(root / "softhsm2.conf")
    words = ["softhsm2-util", "--init-token", "--free", "--label", "bench"]
    subprocess.run([*words, "--so-pin", _PIN, "--pin", _PIN], check=True, capture_output=True)
    pin_file = root / "pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text(_PIN)
    return Pkcs11KeyRing(SOFT_TOKEN, token="bench", pin_file=pin_file, lock_directory=root)  # noqa: S106  # a label


def _people(times: int) -> Iterator[Figure]:
    identities = [pyrage.x25519.Identity.generate() for _ in range(5)]
    keys = [each.to_public() for each in identities]
    fernet = Fernet(Fernet.generate_key())
    for count in (1, 5):
        yield _figure(
            f"p50 of sealing to people, {count} recipient{'s' if count > 1 else ''}",
            "artefacts of 4 KiB by age",
            times,
            ours=lambda count=count: pyrage.encrypt(_CONTENT, keys[:count]),  # type: ignore[misc]
            peer=("Fernet to one shared key", lambda: fernet.encrypt(_CONTENT)),
            goal=2000,
        )
