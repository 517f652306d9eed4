"""The source that harnesses are drafted for: published, of a recipe, or lying on this machine."""

from __future__ import annotations

import io
import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clearhold.adapters.release_lists import RegistryReleases
from clearhold.delivery.cli.recipe_debian import release_of_debian
from clearhold.delivery.cli.recipe_fetching import Fetched
from clearhold.delivery.cli.recipe_releases import Releases
from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for
from clearhold.ports.sources import DEFAULT_SIZE_CAP
from clearhold.validation.builder import Laboratory
from clearhold.validation.drafting import Drafted, Pinned, layout
from clearhold.validation.drafting.scripted import Material
from clearhold.validation.recipe import Recipe, Side
from clearhold.validation.shelf import named

_MOST_FILES: Final = 20_000
_COMMIT: Final = re.compile(r"@[0-9a-f]{40}$")
_MARKS_OF_PYTHON: Final = ("setup.py", "pyproject.toml", "setup.cfg")


@dataclass(frozen=True, slots=True)
class Subject:
    """What harnesses are drafted for: its package with version, its archives and its tree.

    `material` is there for Python, with the script that lays the package out.
    """

    purl: Purl
    drafted: Drafted
    tree: Path
    material: Material | None = None


def subject_of(laboratory: Laboratory, fetched: Fetched, source: str, package: str) -> Subject:
    """The subject that `source` names.

    It is a package URL (Debian or PyPI), an origin as recipes write it, a directory or archive, or the
    name of a recipe; `package` is the package URL that a directory, archive or origin is searched as.
    Raises `InvalidError` for what is none of these and `NotFoundError` for what nobody published.
    """
    if source.startswith("pkg:"):
        return _published(laboratory, fetched, Purl.parse(source))
    if source.startswith(("git:", "tarball:")):
        pinned, tree = fetched.archive(source)
        address = _COMMIT.sub("", source).rstrip("/")
        return _lying(pinned, tree, package, address.rpartition("/")[2].removesuffix(".git"))
    place = Path(source)
    if (place.is_dir() and not (place / "recipe.yaml").is_file()) or place.is_file():
        archive = _packed(place, fetched.scratch / "source.tar") if place.is_dir() else place
        name = place.resolve().name
        pinned, tree = fetched.kept(archive, name)
        return _lying(pinned, tree, package, name)
    return _of_recipe(laboratory, fetched, named(laboratory.recipes, source))


def _published(laboratory: Laboratory, fetched: Fetched, purl: Purl) -> Subject:
    if purl.type == "deb":
        drafted, tree = release_of_debian(fetched, purl)
        return Subject(purl, drafted, tree)
    if purl.type == "pypi":
        version = purl.version or _newest(fetched, purl)
        releases = Releases(fetched, purl, "", laboratory.toolchain())
        # What has no pure wheel is compiled, since without its extensions it may not even load.
        sides, material = releases.sides((version, version), compiled=True)
        drafted = sides["vulnerable"]
        main = next(each for each in drafted.sources if not each.into)
        return Subject(purl, drafted, fetched.archive(main.origin)[1], material)
    raise InvalidError(
        f"Harnesses are drafted for packages of Debian and PyPI by name, not of {purl.type}.",
        next_step="Give a directory or archive of the source, and its package URL with --package.",
    )


def _newest(fetched: Fetched, purl: Purl) -> str:
    published = RegistryReleases(fetched.cache, also=fetched.also).releases(str(purl.package))
    if not published:
        raise NotFoundError(f"No release of {purl.name} has source.", next_step="Name another.")
    return max(published, key=scheme_for(purl.type).key)


def _of_recipe(laboratory: Laboratory, fetched: Fetched, recipe: Recipe) -> Subject:
    side = recipe.side(Side.VULNERABLE)
    purl = Purl.parse(f"{recipe.package}@{side.version}")
    if purl.type == "pypi":
        return _published(laboratory, fetched, purl)
    if purl.type == "npm":
        raise InvalidError("Harnesses are not drafted for npm.", next_step="Write one by hand.")
    trees, _ = laboratory.source_tree(recipe, Side.VULNERABLE)
    sources = tuple(Pinned(each.origin, each.sha256, each.into) for each in side.sources)
    drafted = Drafted(side.version, sources, side.series, side.without)
    return Subject(purl, drafted, trees[""])


def _lying(pinned: Pinned, tree: Path, package: str, name: str) -> Subject:
    plain = re.sub(r"\.(?:tar(?:\.\w+)?|tgz|zip)$", "", name.lower())
    plain = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-._") or "project"
    purl = Purl.parse(package or f"pkg:generic/{plain}@0")
    if not purl.version:
        raise InvalidError("The package has no version.", next_step="Write pkg:TYPE/NAME@VERSION.")
    drafted = Drafted(purl.version, (pinned,))
    marked = any((tree / each).is_file() for each in _MARKS_OF_PYTHON)
    if not marked and next(iter(tree.rglob("*.h")), None) is not None:
        return Subject(purl, drafted, tree)
    found = layout.of_python(tree, purl.name)
    if not found.modules:
        raise InvalidError(
            "Neither headers of C nor modules of Python were found.",
            next_step="Name the directory that holds them.",
        )
    script = layout.python_script([found], [], name=next(iter(found.modules)), compiled=False)
    return Subject(purl, drafted, tree, Material(tuple(found.modules), script, node=False))


def _packed(tree: Path, archive: Path) -> Path:
    """A directory as one archive that is the same bytes everywhere, without links and histories."""
    written = count = 0
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as packed:
        for directory, below, files in os.walk(tree):
            below[:] = sorted(each for each in below if each not in {".git", ".hg", ".svn"})
            for name in sorted(files):
                path = Path(directory, name)
                if path.is_symlink() or not path.is_file():
                    continue
                count, written = count + 1, written + path.stat().st_size
                if count > _MOST_FILES or written > DEFAULT_SIZE_CAP:
                    raise InvalidError(
                        f"The directory holds more than {_MOST_FILES} files or "
                        f"{DEFAULT_SIZE_CAP >> 20} MiB.",
                        next_step="Name the part that matters.",
                    )
                content = path.read_bytes()
                entry = tarfile.TarInfo(f"source/{path.relative_to(tree).as_posix()}")
                entry.size = len(content)
                entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                packed.addfile(entry, io.BytesIO(content))
    return archive
