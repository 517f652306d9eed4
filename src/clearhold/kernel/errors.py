"""One family of errors: each has a code for programs, a sentence and a next step for people."""

from __future__ import annotations

import errno
import traceback
from typing import ClassVar, Final

_INNERMOST: Final = 8


class ClearholdError(Exception):
    """Something the caller must be told, safe to show to whoever made the call.

    `message` says what happened in one sentence; `next_step` says what to do about it; `facts` are
    what a program needs to do that. None may hold a secret, embargoed text or anything of another
    party.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    usual_next_step: ClassVar[str] = "Tell the hub's coordinator."

    def __init__(
        self, message: str, *, next_step: str = "", facts: dict[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step or self.usual_next_step
        self.facts = facts or {}


class InvalidError(ClearholdError):
    """The input cannot be accepted as it is."""

    code = "invalid"
    status = 422
    usual_next_step = "Correct what the sentence names and try again."


class NotFoundError(ClearholdError):
    """Nothing the caller may see has this name: absent and invisible are the same answer."""

    code = "not_found"
    status = 404
    usual_next_step = "Check the id; what you may not see is answered like what is not there."


class UnauthenticatedError(ClearholdError):
    """The caller did not show who they are."""

    code = "unauthenticated"
    status = 401
    usual_next_step = "Ask your coordinator for a token."


class DeniedError(ClearholdError):
    """The caller is known and may not do this at all, whatever the object."""

    code = "denied"
    status = 403
    usual_next_step = "Ask your coordinator who may do this."


class StepUpError(ClearholdError):
    """The caller may do this after showing anew who they are."""

    code = "step_up"
    status = 403
    usual_next_step = "Confirm with your passkey, then try again."


class ConflictError(ClearholdError):
    """The state of things does not allow this now."""

    code = "conflict"
    status = 409
    usual_next_step = "Look at how things stand now, then decide again."


class ThrottledError(ClearholdError):
    """Too many attempts failed lately from where the caller is."""

    code = "throttled"
    status = 429
    usual_next_step = "Wait five minutes, then try again."


class ApprovalNeededError(ConflictError):
    """The act takes a second person, who has not approved it yet."""

    code = "approval_needed"
    usual_next_step = (
        "Propose it with `clearhold approval propose`, let a colleague give it, and ask again."
    )


class HeldError(ClearholdError):
    """What was asked for is noted and happens later, of itself."""

    code = "held"
    status = 409
    usual_next_step = "Nothing: it happens of itself when its time has come."


class TooLargeError(ClearholdError):
    """The input exceeds a stated limit."""

    code = "too_large"
    status = 413
    usual_next_step = "Send less at a time."


class LimitError(ClearholdError):
    """The caller asked for more than it may have in a given time."""

    code = "too_many"
    status = 429
    usual_next_step = "Wait, then try again."


class IntegrityError(ClearholdError):
    """Recorded evidence does not verify: a signature, hash, chain or proof is wrong."""

    code = "integrity"
    status = 500


class UnavailableError(ClearholdError):
    """Something the machine must provide is missing: network, disk, compiler, sandbox."""

    code = "unavailable"
    status = 503
    usual_next_step = "Run `clearhold doctor` to see what is missing."


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def machine_error(error: OSError) -> UnavailableError:
    """What people are told of a file that could not be read or written."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in _FULL:
        return UnavailableError(
            f"The disk is full{where}.", next_step="Free some space and try again."
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        return UnavailableError(
            f"A directory is needed and something else is there{where}.",
            next_step="Name a directory, or another place, and try again.",
        )
    return UnavailableError(
        f"A file could not be read or written{where}: {error.strerror or type(error).__name__}.",
        next_step="Mend the disk or the rights, then try again.",
    )


def refuse_full_disk(error: Exception) -> None:
    """Raise `UnavailableError` when `error` says that a disk is full."""
    if isinstance(error, OSError) and error.errno in _FULL:
        raise machine_error(error) from error


def kind_and_places(error: BaseException) -> str:
    """What a log may say of an unforeseen error: its kind and where it arose, never its text.

    The text may quote what was being worked on, and that may be under embargo.
    """
    frames = traceback.extract_tb(error.__traceback__)[-_INNERMOST:]
    places = " < ".join(f"{each.filename}:{each.lineno}" for each in reversed(frames))
    return f"{type(error).__name__} at {places}"
