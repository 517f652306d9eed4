"""Secrets that others gave the hub, each in a file that only the hub's user may read."""

from __future__ import annotations

from pathlib import Path

from clearhold.kernel.errors import UnavailableError


def secret_in(file: Path, what: str) -> str:
    """The secret in `file`; `what` names it at the beginning of a sentence.

    Raises `UnavailableError` when others may read the file, or nobody can.
    """
    try:
        if file.stat().st_mode & 0o077:
            raise UnavailableError(
                f"{what} can be read by other users of this machine.",
                next_step=f"Run: chmod 600 {file}",
            )
        return file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"{what} cannot be read.", next_step=f"Put it into {file}, mode 0600."
        ) from error
