"""Oracles: what counts as a violation, judged from outside the process that ran the proof.

Each oracle is a small plug-in with a name, a version, the class of claim it can confirm and a
self-test pair: one program that violates and one that does not, run in the sandbox. Exit codes and
printed text alone are never believed.
"""

from clearhold.validation.oracles.observation import (
    UNUSABLE_EXIT,
    Host,
    Observation,
    Oracle,
    RunKind,
    SelfTest,
)
from clearhold.validation.oracles.registry import oracle, oracle_names, self_test
from clearhold.validation.oracles.sanitizers import SANITIZER_EXIT

__all__ = [
    "SANITIZER_EXIT",
    "UNUSABLE_EXIT",
    "Host",
    "Observation",
    "Oracle",
    "RunKind",
    "SelfTest",
    "oracle",
    "oracle_names",
    "self_test",
]
