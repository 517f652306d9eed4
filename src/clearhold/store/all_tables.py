"""Every table of the product, imported in one place so that migrations see them all."""

from clearhold.access import tables as _access
from clearhold.advisories import tables as _advisories
from clearhold.cases import tables as _cases
from clearhold.catalogue import tables as _catalogue
from clearhold.discovery import lead_tables as _leads
from clearhold.discovery import tables as _discovery
from clearhold.discovery.agents import tables as _agents
from clearhold.evaluations import paper_tables as _papers
from clearhold.evaluations import tables as _evaluations
from clearhold.evaluations.gateway import tables as _gateway
from clearhold.findings import tables as _findings
from clearhold.findings.known import tables as _known
from clearhold.inventory import tables as _inventory
from clearhold.ledger import tables as _ledger
from clearhold.parties import tables as _parties
from clearhold.patches import tables as _patches
from clearhold.remediation import tables as _remediation
from clearhold.scanning import coverage_tables as _coverage
from clearhold.scanning import live_tables as _live
from clearhold.scanning import tables as _scanning
from clearhold.store import executors as _executors
from clearhold.store.schema import metadata
from clearhold.validation import tables as _validation
from clearhold.vault import tables as _vault

__all__ = ["metadata"]
_ = (
    _access,
    _advisories,
    _agents,
    _cases,
    _catalogue,
    _coverage,
    _discovery,
    _evaluations,
    _executors,
    _findings,
    _gateway,
    _inventory,
    _known,
    _leads,
    _ledger,
    _papers,
    _live,
    _parties,
    _patches,
    _remediation,
    _scanning,
    _validation,
    _vault,
)
