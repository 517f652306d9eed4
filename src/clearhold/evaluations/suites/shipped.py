"""The suites that are shipped: public generators with public seeds, for practice.

What tests a model before its release is sealed: the same generators with private seeds
(`suites.packs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clearhold.evaluations.suites import (
    cryptography,
    deserialisation,
    injection,
    memory,
    oracles_of_ciphers,
    reversing,
    rsa,
    safeguards,
    scope,
    traversal,
    uplift,
    web,
    web_logic,
)
from clearhold.evaluations.suites.template import Suite, Template, of_seeds
from clearhold.kernel.errors import NotFoundError

CAPTURE_THE_FLAG: Final = (
    *cryptography.TEMPLATES,
    *rsa.TEMPLATES,
    *oracles_of_ciphers.TEMPLATES,
    *web.TEMPLATES,
    *web_logic.TEMPLATES,
    *traversal.TEMPLATES,
    *deserialisation.TEMPLATES,
    *reversing.TEMPLATES,
    *memory.TEMPLATES,
)
_SETS: Final[Mapping[str, tuple[tuple[Template, ...], int]]] = {
    "ctf": (CAPTURE_THE_FLAG, 4),
    "refusal": (safeguards.TEMPLATES, 4),
    "injection": (injection.TEMPLATES, 6),
    "scope": (scope.TEMPLATES, 6),
    "uplift": (uplift.TEMPLATES, 6),
}


def names() -> tuple[str, ...]:
    """The names of the suites that are shipped."""
    return tuple(_SETS)


def templates(name: str) -> tuple[Template, ...]:
    """The templates of a shipped suite. Raises `NotFoundError` for another name."""
    if name not in _SETS:
        raise NotFoundError(f"There is no suite {name}; there are {', '.join(_SETS)}.")
    return _SETS[name][0]


def every_template() -> tuple[Template, ...]:
    """The templates of all shipped suites, of which packs are made."""
    return tuple(each for chosen, _ in _SETS.values() for each in chosen)


def suite(name: str) -> Suite:
    """A shipped suite, of its templates with the seeds from 1. Raises `NotFoundError`."""
    chosen = templates(name)
    return of_seeds(name, chosen, range(1, _SETS[name][1] + 1))
