"""Who is calling.

A *principal* acts for one party: a service account of the party, or the membership of a person in
it. Who works for several parties has a principal in each.
"""

from __future__ import annotations

from dataclasses import dataclass

from clearhold.access.permissions import STEP_UP, PartyKind, Permission
from clearhold.kernel.errors import DeniedError, StepUpError
from clearhold.kernel.ids import PartyId, PersonId, PrincipalId


@dataclass(frozen=True, slots=True)
class Actor:
    """A principal acting for one party, with what its credential allows.

    `person` is who acts, None for a service account. `stepped_up` says that whoever holds the
    credential showed it recently enough for what is under embargo; tokens always have.
    """

    principal: PrincipalId
    party: PartyId
    kind: PartyKind
    permissions: frozenset[Permission]
    person: PersonId | None = None
    stepped_up: bool = True

    def need(self, permission: Permission) -> None:
        """Raise `DeniedError` unless this actor holds `permission`.

        Raises `StepUpError` when a session must first be confirmed for it.
        """
        if permission not in self.permissions:
            raise DeniedError(
                f"This credential does not allow {permission}.",
                next_step="Accept the agreement that opens it (see `clearhold agreement list`), use "
                "another token, or ask your coordinator.",
            )
        if permission in STEP_UP and not self.stepped_up:
            raise StepUpError("This shows what is under embargo and needs a fresh confirmation.")
