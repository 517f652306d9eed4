"""What forbids a scan whoever asks for it: that the owner of the package does not want it.

Asked in the transaction of a claim before anything is said of other leases, when a lease is kept,
and when a service acts under it. Live systems are scanned under their owner's authorisation alone.
"""

from __future__ import annotations

from clearhold.kernel.errors import ClearholdError
from clearhold.parties import wishes
from clearhold.scanning.scope import Scope
from clearhold.scanning.software_scope import SoftwareScope
from clearhold.store.unit_of_work import UnitOfWork


def opted_out(unit: UnitOfWork, scope: Scope) -> ClearholdError | None:
    """The refusal to scan a package whose owner does not want it, or None."""
    if isinstance(scope, SoftwareScope) and wishes.for_package(unit, scope.package).do_not_scan:
        return wishes.opted_out()
    return None
