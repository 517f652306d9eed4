"""Where the sandbox is weaker than the policy demands, no stranger's code is built or run."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from clearhold.cases.material import CaseProof
from clearhold.kernel.errors import UnavailableError
from clearhold.kernel.ids import FindingId
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.judging import Candidate
from clearhold.ports.sandbox import Job, Outcome, Tier
from clearhold.validation.builder import Laboratory
from clearhold.validation.matrix import KnownProof, try_fixes
from clearhold.validation.recipe import Flavour, Side, load

FIX = b"--- a/lib/ultrajson.h\n+++ b/lib/ultrajson.h\n@@ -1,1 +1,1 @@\n-a\n+b\n"
PROOF = b"[" * 100


class _NoSources:
    def fetch(self, origin: str, sha256: str, *, size_cap: int = 0) -> NoReturn:
        pytest.fail("nothing is fetched where nothing may run")


class _Of:
    """A sandbox of a tier that runs nothing."""

    def __init__(self, tier: Tier) -> None:
        self._tier = tier

    def tier(self) -> Tier:
        return self._tier

    def run(self, job: Job, *, least: Tier, on_output: object = None) -> Outcome:
        pytest.fail("a stranger's code was about to run")


def _laboratory(
    place: Path,
    tier: Tier,
    builders: Tier,
    *,
    least: Tier = Tier.NAMESPACES,
    least_code: Tier = Tier.GVISOR,
) -> Laboratory:
    return Laboratory(
        _Of(tier),
        _NoSources(),
        place,
        least=least,
        least_code=least_code,
        builders=_Of(builders),
    )


WEAKER = [Tier.NONE, Tier.NAMESPACES, Tier.NAMESPACES_CGROUP]


@pytest.mark.parametrize("tier", WEAKER)
@pytest.mark.parametrize("where", ["runs", "builds"])
def test_without_gvisor_no_fix_is_built_unless_the_operator_accepts_less(
    tmp_path: Path, tier: Tier, where: str
) -> None:
    tiers = (tier, Tier.GVISOR) if where == "runs" else (Tier.GVISOR, tier)
    weak = _laboratory(tmp_path, *tiers)
    assert not weak.runs_code
    with pytest.raises(UnavailableError) as caught:
        weak.build(load("ujson"), Side.VULNERABLE, flavour=Flavour.PLAIN, patch=FIX)
    assert "GVISOR" in caught.value.message
    assert "CLEARHOLD_LEAST_TIER_CODE" in caught.value.next_step


def test_without_gvisor_no_candidate_is_judged_and_nothing_is_run(tmp_path: Path) -> None:
    weak = _laboratory(tmp_path, Tier.NAMESPACES_CGROUP, Tier.NAMESPACES_CGROUP)
    proof = CaseProof(FindingId("f"), "pkg:pypi/ujson@5.1.0", "encode", PROOF)
    with pytest.raises(UnavailableError):
        LaboratoryJudge(weak).judge(Candidate(FIX, (proof,), ()))


def test_without_gvisor_fixes_show_nothing_of_which_bugs_are_one(tmp_path: Path) -> None:
    weak = _laboratory(tmp_path, Tier.NAMESPACES_CGROUP, Tier.NAMESPACES_CGROUP)
    proofs = (KnownProof("a", "encode", PROOF, ("x",)), KnownProof("b", "encode", b"[", ("x",)))
    assert try_fixes(weak, load("ujson"), proofs=proofs, patches=[FIX]) == ()


def test_data_alone_still_runs_where_code_does_not(tmp_path: Path) -> None:
    weak = _laboratory(tmp_path, Tier.NAMESPACES, Tier.NAMESPACES)
    assert weak.confined
    assert not weak.runs_code


def test_what_is_demanded_of_proofs_is_demanded_of_code_too(tmp_path: Path) -> None:
    counted = _laboratory(
        tmp_path,
        Tier.NAMESPACES_CGROUP,
        Tier.NAMESPACES_CGROUP,
        least=Tier.GVISOR,
        least_code=Tier.NAMESPACES_CGROUP,
    )
    assert not counted.runs_code
    accepted = _laboratory(
        tmp_path,
        Tier.NAMESPACES_CGROUP,
        Tier.NAMESPACES_CGROUP,
        least_code=Tier.NAMESPACES_CGROUP,
    )
    assert accepted.runs_code
    nothing = _laboratory(tmp_path, Tier.NONE, Tier.NONE, least=Tier.NONE, least_code=Tier.NONE)
    assert not nothing.runs_code
