"""What every kind of scope offers, so that claims, lanes and the index serve all kinds alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Protocol

from clearhold.catalogue.model import Technique
from clearhold.scanning.live_scope import LiveScope
from clearhold.scanning.software_scope import SoftwareScope


class Scope(Protocol):
    """What a party means to look at.

    Two scopes overlap only if they share a lane, are of one index group, their index spans meet and
    some of their index keys meet, read as path globs: that is what the index looks up. `overlap`
    then decides exactly. Scopes are immutable and hashable.
    """

    KIND: ClassVar[str]

    @property
    def technique(self) -> Technique:
        """How it is looked at."""
        ...

    def lane_names(self) -> tuple[str, ...]:
        """What is decided one claim after the other; scopes that may overlap share the first."""
        ...

    def index_group(self) -> str:
        """Scopes of different groups never overlap."""
        ...

    def index_keys(self) -> tuple[tuple[str, ...], ...]:
        """Globs as parts, in which `*`, `?` and `**` mean what they do in paths."""
        ...

    def index_span(self) -> tuple[bytes, bytes | None]:
        """A half-open interval of bytes; without an end when the second is None."""
        ...

    def overlap(self, other: object) -> tuple[str, ...]:
        """Which of its own parts the other also reaches, in its own words; empty when none."""
        ...

    def to_plain(self) -> dict[str, Any]:
        """For JSON; `kind` names the kind unless it is software."""
        ...


KINDS: Final[dict[str, Callable[[Mapping[str, Any]], Scope]]] = {
    SoftwareScope.KIND: SoftwareScope.from_plain,
    LiveScope.KIND: LiveScope.from_plain,
}
"""How each kind is read back."""


def from_plain(plain: Mapping[str, Any]) -> Scope:
    """A scope from what its `to_plain` made."""
    return KINDS[plain.get("kind", SoftwareScope.KIND)](plain)
