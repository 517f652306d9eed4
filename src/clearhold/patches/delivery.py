"""Makes what operators install: a wheel of a recipe's plain build, and a probe that shows the fix.

Wheels follow PyPA's binary distribution format 1.0 and version specifiers PEP 440: a patched build
bears a local version, so that it can never be taken for the release it was made from.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import shlex
import signal
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from clearhold.patches.judging import Probe
from clearhold.ports.sandbox import Job, Limits, Outcome
from clearhold.validation.builder import Build, Laboratory, Toolchain
from clearhold.validation.recipe import Delivery as DeliveryPlan
from clearhold.validation.recipe import Flavour, Recipe, Side, Target
from clearhold.wire.bundle import Ending

_PYTHON: Final = "/usr/bin/python3"
_SITE: Final = "/src/site-packages"
_DIFFERS: Final = 10
# An instant that a zip archive can hold; wheels of equal content are to be equal files.
_MODIFIED: Final = (1980, 1, 1, 0, 0, 0)
_LEGAL: Final = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS)([._-].*)?", re.IGNORECASE)
_KEPT_FIELDS: Final = (
    "Summary",
    "Home-page",
    "Author",
    "Author-email",
    "License",
    "Requires-Python",
    "Requires-Dist",
    "Provides-Extra",
    "Project-URL",
    "Classifier",
)
_CRASHED: Final = Ending(
    signals=tuple(
        int(getattr(signal, name))
        for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGTRAP")
    )
)
# Runs the package and the reference one after the other and tells whether they differ.
_COMPARE: Final = """\
rm -f /out/result; "$@" || exit 3; mv /out/result /out/installed || exit 3
%s || exit 3; cmp -s /out/installed /out/result && exit 0; [ $? = 1 ] && exit %d; exit 3"""


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """A wheel ready to install: its file name, bytes and their SHA-256 (hex), and what it is.

    `package` is the package URL with the wheel's version.
    """

    filename: str
    wheel: bytes
    sha256: str
    package: str


def build_delivery(
    laboratory: Laboratory,
    recipe: Recipe,
    *,
    patch: bytes | None,
    version: str,
    side: Side = Side.VULNERABLE,
) -> BuiltWheel:
    """The wheel of the plain build of `side` with `patch`, called `version`.

    Raises `InvalidError` when the recipe delivers nothing, the version is not one of PEP 440 or a
    patched build would bear a published version, and what `Laboratory.build` raises.
    """
    plan = recipe.delivery
    if plan is None:
        raise InvalidError(
            f"The recipe {recipe.name} says nothing about how its package is installed.",
            next_step="Add a delivery section to it.",
        )
    called = _checked(version, recipe, side, patched=patch is not None)
    build = laboratory.build(recipe, side, flavour=Flavour.PLAIN, patch=patch)
    trees, _ = laboratory.source_tree(recipe, side)
    source = trees.get("", next(iter(trees.values())))
    stem = f"{canonicalize_name(plan.distribution).replace('-', '_')}-{called}"
    tag = _tag(plan, build.toolchain)
    information = f"{stem}.dist-info"
    files = _module(plan, build)
    files[f"{information}/METADATA"] = _metadata(source, plan.distribution, called)
    files |= {f"{information}/{path.name}": path.read_bytes() for path in _legal(source)}
    if commands := _entry_points(source):
        files[f"{information}/entry_points.txt"] = commands
    files[f"{information}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: clearhold\n"
        f"Root-Is-Purelib: {str(plan.pure).lower()}\nTag: {tag}\n"
    ).encode()
    wheel = _archive(files, record=f"{information}/RECORD")
    return BuiltWheel(
        filename=f"{stem}-{tag}.whl",
        wheel=wheel,
        sha256=hashlib.sha256(wheel).hexdigest(),
        package=str(Purl.parse(recipe.package).at(str(called))),
    )


def probe(recipe: Recipe, target: str, proof: bytes) -> Probe:
    """How to show `proof` on an installed package, without a sanitizer.

    A crash is told by the signal that ends the interpreter, a hang by the time, a wrong result by
    the recipe's reference. Raises `InvalidError` for a target that no interpreter runs.
    """
    chosen = recipe.target(target)
    if chosen.host != "python":
        raise InvalidError(
            f"The target {target!r} of the recipe {recipe.name} does not use an installed package.",
            next_step="Choose a target that Python runs.",
        )
    argv = _placed(chosen.argv)
    works, clean = _CRASHED, Ending(exit_codes=(0,))
    if chosen.oracle == "hang":
        works = Ending(timed_out=True)
    elif chosen.oracle == "differential":
        script = _COMPARE % (shlex.join(_placed(chosen.reference)), _DIFFERS)
        argv = ("/bin/sh", "-c", script, "compare", *argv)
        works = Ending(exit_codes=(_DIFFERS,))
    if chosen.env:
        settings = (f"{name}={value}" for name, value in sorted(chosen.env.items()))
        argv = ("/usr/bin/env", *settings, *argv)
    return Probe(
        argv=argv,
        files={**_drivers(recipe, chosen), "/in/proof": proof},
        works=works,
        clean=clean,
        wall_s=recipe.limits.run_s,
        memory_mb=recipe.limits.memory_mb,
    )


def shown(laboratory: Laboratory, build: Build, probe: Probe) -> bool | None:
    """Whether the proof works on a plain build as it would be installed; None if it cannot be told."""
    outcome = laboratory.run(
        Job(
            argv=tuple(word.replace("{python}", _PYTHON) for word in probe.argv),
            trees={_SITE: build.directory},
            files=probe.files,
            env={"PYTHONPATH": _SITE, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"},
            limits=Limits(wall_s=probe.wall_s, cpu_s=probe.wall_s, memory_mb=probe.memory_mb),
        )
    )
    if outcome.out_of_memory:
        return None
    if _ended(outcome, probe.works):
        return True
    return False if _ended(outcome, probe.clean) else None


def telling_probe(
    laboratory: Laboratory,
    recipe: Recipe,
    proofs: Sequence[tuple[str, bytes]],
    *,
    patch: bytes | None,
) -> Probe | None:
    """The first probe that works on the vulnerable build and no longer on the patched one.

    `proofs` are pairs of target and proof. Not every proof that a sanitizer sees kills the process
    of a user; None means that none of these tells the two builds apart.
    """
    before = laboratory.build(recipe, Side.VULNERABLE, flavour=Flavour.PLAIN)
    after = laboratory.build(recipe, Side.VULNERABLE, flavour=Flavour.PLAIN, patch=patch)
    for target, proof in proofs:
        if recipe.target(target).host != "python":
            continue
        candidate = probe(recipe, target, proof)
        if shown(laboratory, before, candidate) and shown(laboratory, after, candidate) is False:
            return candidate
    return None


def _checked(version: str, recipe: Recipe, side: Side, *, patched: bool) -> Version:
    try:
        called = Version(version)
    except InvalidVersion as error:
        raise InvalidError(
            f"{version[:80]!r} is not a version by PEP 440.",
            next_step="Write it like 5.1.0+clearhold.1.",
        ) from error
    published = Version(recipe.side(side).version)
    if (called.public, bool(called.local)) != (published.public, patched):
        expected = f"{published}+clearhold.1" if patched else str(published)
        raise InvalidError(
            f"A {'patched' if patched else 'published'} build of {published} cannot be called "
            f"{called}.",
            next_step=f"Call it {expected}.",
        )
    return called


def _tag(plan: DeliveryPlan, toolchain: Toolchain) -> str:
    if plan.pure:
        return "py3-none-any"
    return f"{toolchain.python_tag}-{toolchain.python_tag}-{toolchain.platform}"


def _module(plan: DeliveryPlan, build: Build) -> dict[str, bytes]:
    """The files that are installed, by their path in the wheel."""
    made = build.files
    if plan.module in made:
        name = plan.module
        if plan.suffixed:
            name = name.removesuffix(".so") + build.toolchain.suffix
        return {name: made[plan.module]}
    below = {path: data for path, data in made.items() if path.startswith(f"{plan.module}/")}
    if not below:
        raise InvalidError(
            f"The build of {build.recipe.name} left no {plan.module}.",
            next_step="Name what its build script leaves in $OUT.",
        )
    return below


def _metadata(source: Path, distribution: str, version: Version) -> bytes:
    """The source archive's own metadata under the wheel's version."""
    path = source / "PKG-INFO"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    given = HeaderParser().parsestr(text)
    if canonicalize_name(given.get("Name", "")) != canonicalize_name(distribution):
        raise InvalidError(
            f"The source archive has no metadata of {distribution}.",
            next_step="Use the source archive that the project published on its index.",
        )
    if not given.get_all("Requires-Dist") and _egg_information(source, "requires.txt"):
        raise InvalidError(
            f"The metadata of {distribution} leaves its dependencies out.",
            next_step="Deliver it as a source package instead.",
        )
    lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
    for name in _KEPT_FIELDS:
        for value in given.get_all(name, []):
            line = " ".join(str(value).split())
            if line and line != "UNKNOWN":
                lines.append(f"{name}: {line}")
    return ("\n".join(lines) + "\n").encode()


def _legal(source: Path) -> list[Path]:
    """Licence and notice files, which licences ask to be passed on with every copy."""
    return sorted(
        path for path in source.iterdir() if path.is_file() and _LEGAL.fullmatch(path.name)
    )


def _entry_points(source: Path) -> bytes:
    return _egg_information(source, "entry_points.txt")


def _egg_information(source: Path, name: str) -> bytes:
    found = next(iter(sorted(source.glob(f"*.egg-info/{name}"))), None)
    return found.read_bytes().strip() if found else b""


def _archive(files: Mapping[str, bytes], *, record: str) -> bytes:
    """A wheel of `files`, stored rather than compressed so that no library's version shows in it."""
    listing = io.StringIO()
    rows = csv.writer(listing, lineterminator="\n")
    for path, data in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.writerow((path, f"sha256={digest}", len(data)))
    rows.writerow((record, "", ""))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as wheel:
        for path, data in (*sorted(files.items()), (record, listing.getvalue().encode())):
            entry = zipfile.ZipInfo(path, _MODIFIED)
            entry.create_system = 3  # Unix, so that the mode below is read
            entry.external_attr = (0o100755 if path.endswith(".so") else 0o100644) << 16
            wheel.writestr(entry, data)
    return content.getvalue()


def _placed(argv: Sequence[str]) -> tuple[str, ...]:
    """A recipe's argument vector where its files lie below /in and the interpreter is open."""
    return tuple(
        "{python}" if word == _PYTHON else re.sub(r"^/recipe/", "/in/recipe/", word)
        for word in argv
    )


def _drivers(recipe: Recipe, target: Target) -> dict[str, bytes]:
    named = (word.removeprefix("/recipe/") for word in (*target.argv, *target.reference))
    return {f"/in/recipe/{path}": recipe.files[path] for path in named if path in recipe.files}


def _ended(outcome: Outcome, ending: Ending) -> bool:
    if outcome.timed_out:
        return ending.timed_out
    if outcome.signal is not None:
        return outcome.signal in ending.signals
    return outcome.exit_code in ending.exit_codes
