"""Which isolation the agents of a variant need at least, by what the variant is.

A small open model can do no more than anybody with a keyboard. A frontier model, or one without its
release's safeguards, may find what nobody knows of the kernel it runs on: it gets a kernel of its
own, by gVisor or in a virtual machine, or no tools at all.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from clearhold.evaluations.trials import Isolation
from clearhold.kernel.errors import UnavailableError


class VariantKind(StrEnum):
    """What a variant is, as the agreement's sides state it; nothing is taken for small by itself."""

    SMALL_OPEN = "small-open"
    FRONTIER = "frontier"
    REDUCED_SAFEGUARDS = "reduced-safeguards"


ORDER: Final[tuple[Isolation, ...]] = (
    "no-sandbox",
    "namespaces",
    "namespaces-cgroup",
    "gvisor",
    "virtual-machine",
)
"""From the weakest to the strongest."""
LEAST: Final[dict[VariantKind, Isolation]] = {
    VariantKind.SMALL_OPEN: "namespaces",
    VariantKind.FRONTIER: "gvisor",
    VariantKind.REDUCED_SAFEGUARDS: "gvisor",
}
_WHY: Final = {
    VariantKind.SMALL_OPEN: "a small open model",
    VariantKind.FRONTIER: "a frontier model",
    VariantKind.REDUCED_SAFEGUARDS: "a model with reduced safeguards",
}


def demand(kind: VariantKind, *, given: Isolation, tools: bool) -> None:
    """Refuse what is isolated too weakly. `tools` says whether the model may run anything at all.

    Raises `UnavailableError` with what is lacking.
    """
    least = LEAST[kind]
    if not tools or ORDER.index(given) >= ORDER.index(least):
        return
    raise UnavailableError(
        f"The commands of {_WHY[kind]} need isolation {least} at least, and here is {given}.",
        next_step="Run the tests where that isolation is, or only suites without tools.",
    )
