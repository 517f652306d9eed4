"""Atheris as an engine: coverage-guided search of Python code, in the sandbox.

Atheris comes as a published wheel, pinned by its hash; it is unpacked and bound into the sandbox, and
nothing of it runs anywhere else.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

from clearhold.discovery.engine import Workspace
from clearhold.discovery.engine_libfuzzer import Harness, Prepared, dictionary_of
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.validation.recipe import Flavour, Recipe, Side, Source

_WHEELS: Final = {
    "cp311": Source(
        "pypi:atheris==3.0.0:atheris-3.0.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "8a5c8a781467c187da40fd29139784193e2647058831f837f675d0bb8cbd8746",
    ),
    "cp312": Source(
        "pypi:atheris==3.1.0:atheris-3.1.0-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "ec5e11f21a4c197fe91f7aea2b2de88e623c73a21fc07b105ac6329a1588457b",
    ),
    "cp313": Source(
        "pypi:atheris==3.1.0:atheris-3.1.0-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "f8a9f51ce8369026e8eb7b7174835e8c4c85a1a6db5d9add36c15100779d2a39",
    ),
}
"""The wheels by the tag of the interpreter inside the sandbox, on x86-64 alone."""
_LEAST_RUN_S: Final = 4


class Atheris:
    """Atheris, from PyPI."""

    name = "atheris"
    needs = ("python3 3.11 to 3.13 on x86-64", "a source of PyPI's packages, or its wheel cached")

    def fits(self, recipe: Recipe, target: str) -> bool:
        """Whether the target has a harness in Python, for the project as users have it."""
        known = recipe.targets[target]
        plain = known.flavour is Flavour.PLAIN
        return plain and known.fuzz is not None and bool(known.fuzz.python)

    def prepare(self, workspace: Workspace, target: str) -> Prepared:
        """Build the project as users have it, and fetch the wheel, or take both from the cache."""
        laboratory, recipe = workspace.laboratory, workspace.recipe
        fuzz = recipe.target(target).fuzz
        if fuzz is None or not self.fits(recipe, target):
            raise InvalidError(
                f"The target {target} has no harness in Python.",
                next_step="Choose a target with one.",
            )
        toolchain = laboratory.toolchain()
        wheel = _WHEELS.get(toolchain.python_tag)
        if wheel is None or not toolchain.platform.endswith("x86_64"):
            raise UnavailableError(
                f"There is no Atheris for {toolchain.python_tag} on {toolchain.platform}.",
                next_step="Run the hub where python3 is 3.11, 3.12 or 3.13 on x86-64.",
            )
        (tool,) = laboratory.tools((wheel,))
        build = laboratory.build(recipe, Side.VULNERABLE, flavour=Flavour.PLAIN)
        inside = resources.files("clearhold.discovery").joinpath("inside_atheris.py").read_bytes()
        return Prepared(
            workspace,
            Harness(
                argv=(
                    *("/usr/bin/python3", "-s", "/engine/inside_atheris.py"),
                    *(f"/recipe/{fuzz.python}", ",".join(fuzz.modules)),
                ),
                maximum_bytes=fuzz.maximum_bytes,
                trees={"/build": build.directory, "/tools/atheris": tool},
                files={**recipe.mounted, "/engine/inside_atheris.py": inside},
                env={"PYTHONPATH": "/build:/recipe:/tools/atheris", **fuzz.env},
                memory_mb=max(1024, recipe.limits.memory_mb),
                options=dictionary_of(fuzz, "-dict="),
                longest_run_s=max(_LEAST_RUN_S, recipe.limits.run_s),
            ),
        )
