"""The sandbox of bubblewrap, seccomp, control groups and resource limits (tiers 1 and 2)."""

from clearhold.adapters.sandbox_bwrap.argv import check_enterable, enterable
from clearhold.adapters.sandbox_bwrap.hostile import attacks
from clearhold.adapters.sandbox_bwrap.probes import Probe
from clearhold.adapters.sandbox_bwrap.sandbox import BUILDERS_UID, BubblewrapSandbox

__all__ = ["BUILDERS_UID", "BubblewrapSandbox", "Probe", "attacks", "check_enterable", "enterable"]
