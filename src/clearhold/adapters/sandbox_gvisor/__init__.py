"""The sandbox of gVisor, a kernel in user space, within bubblewrap and a control group (tier 3)."""

from clearhold.adapters.sandbox_gvisor.sandbox import GvisorSandbox

__all__ = ["GvisorSandbox"]
