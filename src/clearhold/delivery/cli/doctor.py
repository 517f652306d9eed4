"""`clearhold doctor`: what this machine and this hub's settings lack, each with its next step.

Everything is looked at and nothing is made: no directory, no key, no table. The sandbox's tier is
what its probes, run now, saw denied; no setting can raise it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import typer

from clearhold.adapters.sandbox_bwrap import Probe, attacks, check_enterable
from clearhold.adapters.sandbox_strongest import StrongestSandbox
from clearhold.adapters.sources_pypi import pip_settings
from clearhold.delivery.cli.output import EXIT_REFUSED, JsonOption, show, told
from clearhold.delivery.cli.system_checks import (
    Check,
    base_checks,
    disk_space,
    laboratory_checks,
    optional_checks,
    package_index,
)
from clearhold.delivery.printed import printable
from clearhold.discovery.static.analysers import all_analysers, built_for_here
from clearhold.discovery.static.engine_codeql import distribution
from clearhold.kernel.errors import ClearholdError
from clearhold.ports.sandbox import Tier
from clearhold.settings import Settings, from_environment
from clearhold.store.database import (
    database_address,
    newest_revision,
    open_engine,
    schema_revision,
    snapshot,
)
from clearhold.store.fence import weakness

_DATA_MB: Final = 500
_CACHE_MB: Final = 1500
_OTHERS: Final = 0o077
_MADE_LATER: Final = "not there yet; the first start makes it"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    `needed` says whether the hub lacks something it cannot do without when `passed` is false;
    otherwise it works, but less well.
    """

    area: str
    name: str
    passed: bool
    needed: bool
    detail: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was looked at, and the sandbox tier that was measured and is demanded."""

    tier: Tier
    least_tier: Tier
    least_tier_code: Tier
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing that is needed is missing."""
        return all(each.passed or not each.needed for each in self.findings)


@told
def doctor(
    *,
    quick: bool = typer.Option(
        False, "--quick", help="Leave out the hostile programs that take some seconds."
    ),
    as_json: bool = JsonOption,
) -> None:
    """Look for what this machine lacks; ends with 1 when something needed is missing."""
    diagnosis = examine(from_environment(), quick=quick)
    if as_json:
        show(
            {
                "healthy": diagnosis.healthy,
                "tier": diagnosis.tier.name,
                "least_tier": diagnosis.least_tier.name,
                "least_tier_code": diagnosis.least_tier_code.name,
                "findings": [asdict(each) for each in diagnosis.findings],
            },
            as_json=True,
        )
    else:
        for line in _told(diagnosis):
            typer.echo(printable(line))
    if not diagnosis.healthy:
        raise typer.Exit(EXIT_REFUSED)


def examine(settings: Settings, *, quick: bool = False) -> Diagnosis:
    """Look at the machine, the sandbox, the directories and the database of `settings`.

    The sandbox is put to hostile programs as well, unless it should be `quick`.
    """
    tier, sandbox = _sandbox(settings, quick=quick)
    return Diagnosis(
        tier,
        settings.least_tier,
        settings.least_tier_code,
        (
            *_taken("machine", (*base_checks(), *laboratory_checks())),
            *_taken("machine", optional_checks(), needed=False),
            *sandbox,
            *_taken("disk", _disks(settings)),
            *_taken("keys", _keys(settings)),
            *_database(settings),
            *_taken("sources", _indexes(), needed=False),
            *_taken("engines", _engines(settings), needed=False),
        ),
    )


def _taken(area: str, checks: Iterable[Check | Probe], *, needed: bool = True) -> Iterator[Finding]:
    for each in checks:
        step = "" if each.passed else each.next_step
        yield Finding(area, each.name, each.passed, needed, each.detail, step)


def _sandbox(settings: Settings, *, quick: bool) -> tuple[Tier, tuple[Finding, ...]]:
    forbidden = (settings.data_directory, settings.key_directory)
    programs: tuple[Probe, ...] = ()
    try:
        with StrongestSandbox(forbidden=forbidden, slots=1) as sandbox:
            probes, tier = sandbox.report(), sandbox.tier()
            if tier is not Tier.NONE and not quick:
                programs = tuple(attacks(sandbox))
    except ClearholdError as error:
        return Tier.NONE, (_failed("sandbox", "sandbox", error),)
    least = max(settings.least_tier, Tier.NAMESPACES)
    enough = tier >= least
    reached = Finding(
        "sandbox",
        "tier",
        enough,
        True,
        f"{tier.name} was measured, {least.name} is demanded",
        "" if enough else "mend the probes that failed, or lower CLEARHOLD_LEAST_TIER",
    )
    code = max(least, settings.least_tier_code)
    runs_code = tier >= code
    # A hub that judges no fixes does all the rest, so this costs function and is no fault.
    for_code = Finding(
        "sandbox",
        "tier for strangers' code",
        runs_code,
        False,
        f"{tier.name} was measured, {code.name} is demanded"
        + ("" if runs_code else ": no candidate fix is judged here"),
        "" if runs_code else "install gVisor, or lower CLEARHOLD_LEAST_TIER_CODE",
    )
    # A probe that fails although the tier is reached costs strength, not function.
    return tier, (
        *_taken("sandbox", probes, needed=not enough),
        *_taken("hostile programs", programs),
        reached,
        for_code,
    )


def _disks(settings: Settings) -> Iterator[Check]:
    for name, directory, megabytes in (
        ("data directory", settings.data_directory, _DATA_MB),
        ("cache directory", settings.cache_directory, _CACHE_MB),
    ):
        yield _writable(name, directory)
        space = disk_space(directory, needed_mb=megabytes)
        yield Check(f"{name}: space", space.passed, space.detail, space.next_step)
    name = "cache directory: sandbox"
    try:
        check_enterable(settings.cache_directory)
        yield Check(name, True, "the sandbox's own user can enter it")
    except ClearholdError as error:
        yield Check(name, False, error.message, error.next_step)


def _engines(settings: Settings) -> Iterator[Check]:
    """The readers of source that a search by rules needs; each is fetched when it is first asked."""
    for each in all_analysers():
        name = f"{each.name} {each.version}"
        if not built_for_here():
            yield Check(name, False, "not built for this kind of machine", "search without it")
        elif each.is_in(settings.cache_directory):
            yield Check(name, True, "its pinned files are in the cache")
        else:
            yield Check(name, True, "not there yet; the first search with it fetches it")
    place = distribution()
    absent = "not on this machine, and never fetched; searches with it are refused"
    yield Check("codeql", True, absent if place is None else f"found at {place}")


def _writable(name: str, directory: Path) -> Check:
    """Whether this user can make files in `directory`, or make the directory itself."""
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Check(name, True, str(directory) if directory.exists() else _MADE_LATER)
    return Check(
        name,
        False,
        f"{place} cannot be written by this user",
        f"make {directory} and give it to the user that runs the hub, or set another place",
    )


def _keys(settings: Settings) -> Iterator[Check]:
    directory = settings.key_directory
    if directory.resolve().is_relative_to(settings.data_directory.resolve()):
        yield Check(
            "key directory",
            False,
            "it lies inside the data directory, so a copy of the data takes the keys along",
            "set CLEARHOLD_KEY_DIRECTORY to a place outside the data directory",
        )
        return
    writable = _writable("key directory", directory)
    yield writable
    if not directory.is_dir() or not writable.passed:
        return
    inside = [each for each in sorted(directory.rglob("*")) if each.is_file()]
    # An empty file is a lock and holds no key.
    exposed = [each for each in inside if each.stat().st_mode & _OTHERS and each.stat().st_size]
    yield Check(
        "key files",
        not exposed,
        f"others can read {exposed[0]}" if exposed else "nobody else can read them",
        f"run: chmod -R go-rwx {directory}" if exposed else "",
    )


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        address = database_address(settings.database_url)
        if address.get_backend_name() == "sqlite" and not Path(address.database or "").exists():
            yield Finding("database", "database", True, True, _MADE_LATER)
            return
        engine = open_engine(settings.database_url)
        try:
            with snapshot(engine) as connection:
                current = schema_revision(connection)
                weak = weakness(connection) if address.get_backend_name() != "sqlite" else None
        finally:
            engine.dispose()
    except ClearholdError as error:
        yield _failed("database", "database", error)
        return
    yield Finding("database", "database", True, True, f"{address.get_backend_name()} answers")
    yield _schema(current, newest_revision())
    if weak is not None:
        step = "let the hub connect as another user than migrates; see docs/operations.md"
        detail = weak or "requests and services are held to their policies"
        yield Finding(
            "database", "row-level security", not weak, False, detail, step if weak else ""
        )


def _schema(current: str | None, newest: str) -> Finding:
    name, area = "schema", "database"
    if current is None:
        return Finding(area, name, True, True, _MADE_LATER)
    if current == newest:
        return Finding(area, name, True, True, f"revision {current} is the newest")
    if current < newest:  # revisions are numbers of four digits
        step = "run: clearhold admin migrate"
        return Finding(area, name, False, False, f"revision {current}, newest is {newest}", step)
    return Finding(
        area,
        name,
        False,
        True,
        f"revision {current} was made by a newer release, this one knows {newest}",
        "install the release that made it, or restore a backup from before it",
    )


def _indexes() -> Iterator[Check]:
    """The package indexes that sources are fetched from, as pip is configured."""
    try:
        configured = pip_settings()
    except ClearholdError as error:
        yield Check("package index", False, error.message, error.next_step)
        return
    yield from (package_index(each) for each in configured.indexes)


def _failed(area: str, name: str, error: ClearholdError) -> Finding:
    return Finding(area, name, False, True, error.message, error.next_step)


def _told(diagnosis: Diagnosis) -> Iterator[str]:
    area = ""
    for each in diagnosis.findings:
        if each.area != area:
            area = each.area
            yield f"{area}:"
        mark = "ok" if each.passed else "MISSING" if each.needed else "weaker"
        yield f"  {mark:<8} {each.name}: {each.detail}"
        if each.next_step:
            yield f"           next: {each.next_step}"
    count = sum(not each.passed and each.needed for each in diagnosis.findings)
    yield f"sandbox tier: {diagnosis.tier.name}"
    yield "Nothing needed is missing." if count == 0 else f"{count} needed things are missing."
