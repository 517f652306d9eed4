"""The recipes that one machine knows: its operator's own, then those shipped with the product."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.validation import recipe as shipped
from clearhold.validation.recipe import Recipe

_MOST_FILES = 4096


class Shelf:
    """Recipes by name and by package; one of the operator's own takes the place of its namesake.

    `own` holds a directory per recipe, and is read anew each time, so that one may be added while
    the hub runs. None knows the shipped ones alone.
    """

    def __init__(self, own: Path | None = None) -> None:
        self._own = own

    def names(self) -> tuple[str, ...]:
        """The names of all recipes, in order."""
        return tuple(sorted({*self._own_names(), *shipped.recipe_names()}))

    def all(self) -> tuple[Recipe, ...]:
        """All recipes, the operator's own first, each kind by name.

        Raises `InvalidError` when one of the operator's own is not well formed.
        """
        own = self._own_names()
        return (
            *(self.load(name) for name in own),
            *(shipped.load(name) for name in shipped.recipe_names() if name not in own),
        )

    def load(self, name: str) -> Recipe:
        """The recipe of that name. Raises `NotFoundError`, and `InvalidError` for one ill formed."""
        if self._own is not None and name in self._own_names():
            return read_directory(self._own / name)
        if name not in shipped.recipe_names():
            raise NotFoundError(
                f"There is no recipe {name[:60]!a}.",
                next_step=f"Use one of: {', '.join(self.names())}.",
            )
        return shipped.load(name)

    def find(
        self, package: str, *, version: str = "", targets: Collection[str] = ()
    ) -> Recipe | None:
        """The recipe for a package URL, whose version, qualifiers and subpath do not matter.

        Of several, one that has most of the targets; of these one that covers the version; of
        these the first.
        """
        bare = shipped.without_version(package)
        found = [each for each in self._readable() if each.package == bare]

        def fits(each: Recipe) -> tuple[int, bool]:
            covered = {side.version for side in each.sides.values()}
            return len(set(targets) & set(each.targets)), version in covered

        return max(found, key=fits, default=None)  # the first of equals

    def _readable(self) -> Iterator[Recipe]:
        """All but those of the operator that are ill formed: one of them is not every package's."""
        for name in (*self._own_names(), *shipped.recipe_names()):
            with suppress(InvalidError):
                yield self.load(name)

    def _own_names(self) -> tuple[str, ...]:
        if self._own is None:
            return ()
        try:
            entries = sorted(self._own.iterdir())
        except OSError as error:
            raise InvalidError(
                f"The directory of recipes cannot be read: {error.strerror}.",
                next_step="Correct CLEARHOLD_RECIPES, or leave it empty.",
            ) from error
        return tuple(
            each.name
            for each in entries
            if shipped.is_name(each.name) and (each / "recipe.yaml").is_file()
        )


def read_directory(directory: Path) -> Recipe:
    """The recipe that lies in `directory`, by the directory's name.

    Raises `NotFoundError` when none lies there, `InvalidError` when it is not well formed, is named
    otherwise than recipes are, or has links, special files or too many files.
    """
    name = directory.resolve().name
    if not (directory / "recipe.yaml").is_file():
        raise NotFoundError(
            f"No recipe lies in {str(directory)!a}.",
            next_step="Name a directory with a recipe.yaml, or a recipe of `clearhold recipe list`.",
        )
    if not shipped.is_name(name):
        raise InvalidError(
            f"A recipe cannot be called {name[:60]!a}.",
            next_step="Name its directory in lower-case letters, digits, dots, dashes and _.",
        )
    entries = list(directory.rglob("*"))
    odd = [each for each in entries if each.is_symlink() or not (each.is_file() or each.is_dir())]
    if odd or len(entries) > _MOST_FILES:
        what = f"{str(odd[0])!a} is no plain file" if odd else f"it has {len(entries)} files"
        raise InvalidError(
            f"The recipe cannot be read: {what}.",
            next_step="Keep recipes to scripts, drivers and small seeds.",
        )
    return shipped.parse(name, shipped.files_below(directory))


def named(shelf: Shelf, place: str) -> Recipe:
    """The recipe in the directory `place` when that is a path, else the one of that name."""
    if "/" in place or Path(place, "recipe.yaml").is_file():
        return read_directory(Path(place))
    return shelf.load(place)
