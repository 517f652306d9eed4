"""Stack traces as their tools print them, read into one form; pure, in time linear in the text."""

from clearhold.findings.traces.model import Frame, Trace
from clearhold.findings.traces.reading import read

__all__ = ["Frame", "Trace", "read"]
