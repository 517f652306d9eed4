"""Who is calling."""

from __future__ import annotations

from dataclasses import dataclass

from clearhold.access.permissions import PartyKind, Permission
from clearhold.kernel.errors import DeniedError
from clearhold.kernel.ids import PartyId, PrincipalId


@dataclass(frozen=True, slots=True)
class Actor:
    """A principal acting for one party, with what its credential allows."""

    principal: PrincipalId
    party: PartyId
    kind: PartyKind
    permissions: frozenset[Permission]

    def need(self, permission: Permission) -> None:
        """Raise `DeniedError` unless this actor holds `permission`."""
        if permission not in self.permissions:
            raise DeniedError(
                f"This credential does not allow {permission}.",
                next_step="Use a token of a party that may do this, or ask your coordinator.",
            )
