"""CVSS vectors, versions 2.0 to 4.0: checked and scored by the cvss library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cvss import CVSS2, CVSS3, CVSS4
from cvss.exceptions import CVSSError

from clearhold.kernel.errors import InvalidError

_MAX_LENGTH = 512

CvssVersion = Literal["2.0", "3.0", "3.1", "4.0"]


@dataclass(frozen=True, slots=True)
class CvssScore:
    """A checked vector, its base score (0 to 10) and the score's name in capitals."""

    version: CvssVersion
    vector: str
    base_score: float
    base_severity: str


def score(vector: str) -> CvssScore:
    """Check and score `vector`; raises `InvalidError` when it is no CVSS vector."""
    version: CvssVersion
    try:
        if len(vector) > _MAX_LENGTH:
            raise _refused(vector)
        if vector.startswith("CVSS:4.0/"):
            parsed, version = CVSS4(vector), "4.0"
        elif vector.startswith(("CVSS:3.0/", "CVSS:3.1/")):
            parsed, version = CVSS3(vector), "3.1" if vector.startswith("CVSS:3.1") else "3.0"
        else:
            parsed, version = CVSS2(vector), "2.0"
    except (CVSSError, ValueError, KeyError, IndexError) as problem:
        raise _refused(vector) from problem
    return CvssScore(
        version=version,
        vector=parsed.vector,
        base_score=float(parsed.base_score if version == "4.0" else parsed.scores()[0]),
        base_severity=str(parsed.severity if version == "4.0" else parsed.severities()[0]).upper(),
    )


def _refused(vector: str) -> InvalidError:
    return InvalidError(
        f"{vector[:80]!a} is no CVSS vector.",
        next_step="Write it as CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H, or in version 4.0.",
    )
