"""A PKCS#11 token in software, for whoever has SoftHSM; one per process, emptied for each test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from clearhold.adapters.keys_pkcs11 import Pkcs11KeyRing
from clearhold.delivery.cli.system_checks import SOFT_TOKEN

LABEL = "clearhold-test"
PIN = "PIN-nobody-must-see"


def make_token(directory: Path) -> Path:
    """Initialise a token for this process and return the file with its PIN."""
    if not SOFT_TOKEN.exists():
        if os.environ.get("CI"):
            pytest.fail("CI must test the token's key ring and softhsm2 is not here")
        pytest.skip("no SoftHSM: install softhsm2")
    (directory / "tokens").mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {directory / 'tokens'}\nobjectstore.backend = file\n"
    )
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    command = ["softhsm2-util", "--init-token", "--free", "--label", LABEL]
    subprocess.run([*command, "--so-pin", PIN, "--pin", PIN], check=True, capture_output=True)
    pin_file = directory / "pin"
    pin_file.write_text(PIN + "\n")
    pin_file.chmod(0o600)
    return pin_file


def empty_token() -> None:
    """Destroy every object in the token."""
    import pkcs11  # noqa: PLC0415  # an extra

    token = pkcs11.lib(str(SOFT_TOKEN)).get_token(token_label=LABEL)
    try:
        session = token.open(user_pin=PIN, rw=True)
    except pkcs11.exceptions.UserAlreadyLoggedIn:
        session = token.open(rw=True)
    for each in list(session.get_objects()):
        each.destroy()


def token_ring(pin_file: Path, keys: Path) -> Pkcs11KeyRing:
    """A key ring on the token."""
    return Pkcs11KeyRing(SOFT_TOKEN, token=LABEL, pin_file=pin_file, lock_directory=keys)
