"""Suites with the commitments that a plan names them by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from clearhold.evaluations.sealing import SALT_BYTES, SealedSuite, SealedTask
from clearhold.evaluations.suites import packs, shipped
from clearhold.evaluations.suites.template import Suite


@dataclass(frozen=True, slots=True)
class Provided:
    """A suite with the commitment, in hexadecimal, under which the plan names it."""

    suite: Suite
    commitment: str


def of_pack(content: bytes) -> tuple[str, Provided]:
    """A sealed pack's suite by its name. Raises `InvalidError` for what is no pack."""
    pack = packs.read(content)
    suite = packs.suite_of(pack, shipped.every_template())
    return suite.name, Provided(suite, packs.published(pack, suite).root)


def of_shipped(name: str) -> tuple[str, Provided]:
    """A shipped suite, which is public. Raises `NotFoundError` for a name that none has."""
    suite = shipped.suite(name)
    return name, Provided(suite, practice_root(suite))


def of_pairs(suite: Suite) -> tuple[str, Provided]:
    """The suite of flaws of real packages as it was gathered on this machine (`pair_sources`)."""
    return suite.name, Provided(suite, practice_root(suite))


def practice_root(suite: Suite) -> str:
    """The commitment to a public suite: there is nothing to hide, so that every salt is nought."""
    tasks = tuple(
        SealedTask(name, version, hashlib.sha256(content).digest())
        for (name, version), content in sorted(suite.contents().items())
    )
    return SealedSuite(tasks, (bytes(SALT_BYTES),) * len(tasks)).commitment.root.hex()
