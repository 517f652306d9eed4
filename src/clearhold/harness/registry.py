"""What Inspect finds when it looks for extensions: the sandbox and the model provider `clearhold`."""

from __future__ import annotations

from clearhold.harness.endpoint import Endpoint
from clearhold.harness.sandbox import BoxEnvironment

__all__ = ["BoxEnvironment", "Endpoint"]
