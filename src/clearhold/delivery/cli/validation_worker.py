"""`clearhold validate enrol`, `run-step` and `worker`: validating on a machine that holds nothing else.

A worker has an identity of its own and a directory it shares with the hub. It opens no database and
needs no token; it refuses to start where a database is within its reach.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pyrage
import typer

from clearhold.adapters.release_lists import RegistryReleases
from clearhold.adapters.signer_file import signing_key
from clearhold.assembly.laboratory import open_laboratory
from clearhold.delivery.cli.output import JsonOption, show, told
from clearhold.kernel.errors import DeniedError, InvalidError, UnavailableError
from clearhold.settings import PREFIX, Settings, from_environment
from clearhold.validation.examiner import Examiner, LaboratoryExaminer
from clearhold.validation.jobs import WorkerIdentity, run_step
from clearhold.validation.spool import Spool

_ONCE = typer.Option(False, "--once", help="End when no job waits.")
_PURPOSE = "validation-worker"


@told
def enrol(identity: Path, name: str, *, as_json: bool = JsonOption) -> None:
    """Make this worker's identity, and print what the hub keeps of it as NAME.json."""
    held = _identity(identity)
    show(
        {
            "name": name,
            "key": held.key.public_key().public_bytes_raw().hex(),
            "recipient": str(held.opener.to_public()),
        },
        as_json=as_json,
    )


@told
def step(job: Path, answer: Path, identity: Path) -> None:
    """Carry out one sealed job from a file and write the sealed answer to another."""
    examiner = _examiner()
    try:
        content = job.read_bytes()
    except OSError as problem:
        raise InvalidError(
            f"{job} cannot be read: {problem.strerror}.", next_step="Give an existing file."
        ) from problem
    made = run_step(content, examiner, _identity(identity))
    fresh = answer.with_name(f".{answer.name}.new")
    fresh.write_bytes(made)
    fresh.rename(answer)
    typer.echo(f"Wrote {answer}.")


@told
def worker(spool: Path, identity: Path, *, once: bool = _ONCE) -> None:
    """Take validation jobs from a spool directory and answer them, until told to end."""
    examiner, held = _examiner(), _identity(identity)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())  # what is begun is brought to its end
    typer.echo("Waiting for jobs.")
    done = Spool(spool).serve(lambda sealed: run_step(sealed, examiner, held), stop=stop, once=once)
    typer.echo(f"Answered {done} jobs.")


def _examiner() -> Examiner:
    settings = from_environment()
    _check_apart(settings)
    lists = RegistryReleases(settings.cache_directory, also=settings.source_networks)
    return LaboratoryExaminer(open_laboratory(settings), lists)


def _check_apart(settings: Settings) -> None:
    """Refuse to be a worker where the hub's database, data or keys are within reach."""
    reason = ""
    if os.environ.get(PREFIX + "DATABASE"):
        reason = f"{PREFIX}DATABASE is set"
    for place in (settings.data_directory / "clearhold.db", settings.key_directory / "ring.json"):
        try:
            readable = place.exists() and os.access(place, os.R_OK)
        except OSError:
            readable = False
        if readable:
            reason = f"this user can read {place}"
    if reason:
        raise DeniedError(
            f"A validation worker holds no database and no keys, but {reason}.",
            next_step="Run it as another user or on another machine, with "
            f"{PREFIX}DATA_DIRECTORY and {PREFIX}KEY_DIRECTORY of its own.",
        )


def _identity(directory: Path) -> WorkerIdentity:
    """The worker's keys, made on first use in files that it alone can read."""
    key = signing_key(directory, _PURPOSE)
    path = directory / f"{_PURPOSE}.age"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{pyrage.x25519.Identity.generate()}\n")
    if path.stat().st_mode & 0o077:
        raise UnavailableError(
            "The worker's age identity can be read by other users.",
            next_step=f"Run: chmod 600 {path}",
        )
    try:
        opener = pyrage.x25519.Identity.from_str(path.read_text("ascii").strip())
    except (pyrage.IdentityError, ValueError) as error:
        raise UnavailableError(
            "The worker's age identity is damaged.",
            next_step=f"Remove {path}, enrol the worker again and give the hub what is printed.",
        ) from error
    return WorkerIdentity(key, opener)
