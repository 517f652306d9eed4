"""The two sides of a draft for a package of npm or PyPI: the releases around a fix, with their needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name
from packaging.version import Version

from clearhold.adapters.release_lists import of_npm, of_pypi, pypi_origin
from clearhold.delivery.cli.recipe_fetching import Fetched
from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.matching import Affected, Range
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for
from clearhold.validation import drafting
from clearhold.validation.builder import Toolchain
from clearhold.validation.drafting import Drafted, Pinned, layout, npm_tree, pypi_tree
from clearhold.validation.drafting.layout import NEEDED, TOOLS, Layout
from clearhold.validation.drafting.scripted import Material
from clearhold.wire.pypi_index import PypiFile

_SIDES: Final = ("vulnerable", "fixed")
_SETUPTOOLS: Final = "68.2.2"


@dataclass(slots=True)
class _Side:
    """One side of a Python package: what is pinned, its modules, what it needs, where that lies."""

    pinned: list[Pinned]
    layout: Layout
    places: list[str] = field(default_factory=list)


class Releases:
    """The releases of one package of npm or PyPI, and what the sandbox's interpreter makes of them."""

    def __init__(self, fetched: Fetched, purl: Purl, cve: str, toolchain: Toolchain) -> None:
        self._fetched = fetched
        self._kind = purl.type
        self._cve = cve
        self._name = f"{purl.namespace}/{purl.name}" if purl.namespace else purl.name
        self._npm = cache(partial(of_npm, also=fetched.also))
        self._pypi = cache(partial(of_pypi, also=fetched.also))
        self._python = _Python(fetched, self._pypi, toolchain)

    def around(self, affected: Affected, *, vulnerable: str, fixed: str) -> tuple[str, str]:
        """The two releases: those that are named, else those around the fix that is stated.

        When nothing is stated, the newest release's changelog is read. Raises `NotFoundError` when
        that tells nothing either, and for releases that nobody published.
        """
        npm = self._kind == "npm"
        listed = self._npm(self._name).versions if npm else self._pypi(self._name)
        published = list(
            dict.fromkeys(each if isinstance(each, str) else each.version for each in listed)
        )
        stable = [each for each in published if not _is_early(self._kind, each)] or published
        if not fixed and not affected.ranges:
            fixed = self._told_by_changelog(stable)
        if fixed and not vulnerable:
            affected = Affected(self._kind, (Range("0", fixed, None),))
        if not (vulnerable and fixed):
            before, after = drafting.around_the_fix(self._kind, stable, affected)
            vulnerable, fixed = vulnerable or before, fixed or after
        for version in (vulnerable, fixed):
            if version not in published:
                raise _unpublished(version)
        return vulnerable, fixed

    def _told_by_changelog(self, versions: Sequence[str]) -> str:
        newest = max(versions, key=scheme_for(self._kind).key)
        if self._kind == "npm":
            tree = self._fetched.archive(f"npm:{self._name}@{newest}")[1]
        else:
            tree = self._python.tree(self._name, newest)
        found = drafting.fixed_by_changelog(tree, self._cve, versions)
        if not found:
            raise NotFoundError(
                f"Neither a catalogue nor the changelog of {newest} tells where {self._cve} was fixed.",
                next_step="Give its OSV or CVE record with --record, or the fixed release with --fixed.",
            )
        return found

    def sides(
        self, chosen: tuple[str, str], *, compiled: bool
    ) -> tuple[dict[str, Drafted], Material]:
        """Both sides with all they need; with `compiled`, extensions of Python packages are built."""
        return self._of_npm(chosen) if self._kind == "npm" else self._of_pypi(chosen, compiled)

    def _of_npm(self, chosen: tuple[str, str]) -> tuple[dict[str, Drafted], Material]:
        name, package = self._name, self._npm(self._name)
        sides, problems = {}, []
        raised = npm_tree.raised(package, *chosen)
        for side, version in zip(_SIDES, chosen, strict=True):
            pinned = [self._fetched.archive(f"npm:{name}@{version}")[0]]
            before = package.times.get(version, "")
            outside = raised if version == chosen[0] else {}
            tree = npm_tree.resolve(name, version, self._npm, before=before, outside=outside)
            problems += [f"{side}: {each}" for each in tree.problems]
            for place, (needed, its) in sorted(tree.placed.items()):
                pinned.append(self._fetched.archive(f"npm:{needed}@{its}", place)[0])
            sides[side] = Drafted(version, tuple(pinned))
        script = layout.node_script(name)
        return sides, Material((name,), script, node=True, problems=tuple(problems))

    def _of_pypi(
        self,
        chosen: tuple[str, str],
        compiled: bool,  # noqa: FBT001 - named by `sides`
    ) -> tuple[dict[str, Drafted], Material]:
        made = [self._python.side(self._name, each) for each in chosen]
        compiled = compiled and any(each.layout.extension for each in made)
        problems = [problem for each in made for problem in each.layout.problems]
        names = tuple(dict.fromkeys(name for each in made for name in each.layout.modules))
        if not names:
            problems.append("build.sh: no module was found in the source")
        if compiled:
            tool = f"setuptools-{_SETUPTOOLS}-py3-none-any.whl"
            for each in made:
                origin = f"pypi:setuptools=={_SETUPTOOLS}:{tool}"
                each.pinned.append(self._fetched.archive(origin, TOOLS)[0])
        script = layout.python_script(
            [each.layout for each in made],
            list(dict.fromkeys(place for each in made for place in each.places)),
            name=canonicalize_name(self._name).replace("-", "_"),
            compiled=compiled,
        )
        sides = {
            side: Drafted(version, tuple(one.pinned))
            for side, version, one in zip(_SIDES, chosen, made, strict=True)
        }
        return sides, Material(names, script, node=False, problems=tuple(problems))


class _Python:
    """What the sandbox's interpreter takes, and the archives of what runs on it."""

    def __init__(
        self, fetched: Fetched, ask: Callable[[str], Sequence[PypiFile]], toolchain: Toolchain
    ) -> None:
        self._fetched = fetched
        self._ask = ask
        self._tag = toolchain.python_tag
        self._machine = toolchain.platform.removeprefix("linux_")
        self._trees: dict[str, tuple[Pinned, Path]] = {}

    def side(self, name: str, version: str) -> _Side:
        """One release with what it needs."""
        files = [each for each in self._ask(name) if each.version == version]
        source = next((each for each in files if each.source), None)
        wheel = next((each for each in files if each.pure or self.fits(each)), None)
        known = pypi_tree.top_modules(self._tree(name, wheel)[1]) if wheel else []
        main = source or wheel
        if main is None:
            raise _unpublished(version)
        pinned, tree = self._tree(name, main)
        found = layout.of_python(tree, name, known)
        if wheel and set(known) - set(found.modules):
            # What its builder generates is in the wheel alone.
            pinned, tree = self._tree(name, wheel)
            found = layout.of_python(tree, name, known)
        made = _Side([pinned], found)
        found.extension = found.extension and not any(each.pure for each in files)
        told = self._tree(name, wheel)[1] if wheel else tree
        needed = pypi_tree.resolve(
            name,
            pypi_tree.requirements_of(told),
            self._ask,
            lambda other, file: pypi_tree.requirements_of(self._tree(other, file)[1]),
            python=f"{self._tag[2]}.{self._tag[3:]}",
            fits=self.fits,
            before=max((each.uploaded for each in files), default=""),
        )
        found.problems += [f"{version}: {each}" for each in needed.problems]
        for other, file in sorted(needed.files.items()):
            place = f"{NEEDED}/{other}"
            one, unpacked = self._tree(other, file)
            made.pinned.append(replace(one, into=place))
            made.places += self._places(place, other, file, unpacked)
        return made

    @staticmethod
    def _places(place: str, name: str, file: PypiFile, tree: Path) -> list[str]:
        """What of an unpacked dependency is installed: of a wheel all, of source its modules."""
        if not file.source:
            return [f"{place}/."]
        found = layout.of_needed(tree, name)
        return [
            f"{place}/{f'{root}/' if root else ''}{module}{'' if is_package else '.py'}"
            for module, root in found.modules.items()
            for is_package in [(tree / root / module).is_dir()]
        ]

    def tree(self, name: str, version: str) -> Path:
        """The unpacked source of a release, or its wheel."""
        files = [each for each in self._ask(name) if each.version == version]
        chosen = next((each for each in files if each.source), None) or files[0]
        return self._tree(name, chosen)[1]

    def _tree(self, name: str, file: PypiFile) -> tuple[Pinned, Path]:
        if file.filename not in self._trees:
            self._trees[file.filename] = self._fetched.archive(pypi_origin(name, file))
        return self._trees[file.filename]

    def fits(self, file: PypiFile) -> bool:
        """Whether the sandbox's interpreter takes a compiled wheel."""
        for tag in file.tags:
            interpreter, abi, platform = tag.split("-", 2)
            old = abi == "abi3" and interpreter[2:].isdigit() and interpreter < self._tag
            if (interpreter == self._tag or old) and re.fullmatch(
                rf"manylinux.*_{re.escape(self._machine)}", platform
            ):
                return True
        return False


def _is_early(kind: str, version: str) -> bool:
    return "-" in version if kind == "npm" else Version(version).is_prerelease


def _unpublished(version: str) -> NotFoundError:
    return NotFoundError(
        f"No source of version {version[:60]!a} is published.",
        next_step="Name another with --vulnerable and --fixed.",
    )
