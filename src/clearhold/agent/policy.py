"""What an operator allows the agent to change without being asked, from a JSON file of theirs.

Format `clearhold-agent-policy/1`: `environments` are absolute paths, `packages` are purls without
version (or "*"), `least_tier` is the least isolation for proofs, `require_proof` refuses fixes that
cannot be shown to work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from clearhold.agent.state import read_file
from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.ports.sandbox import Tier

SCHEMA: Final = "clearhold-agent-policy/1"


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Permission to apply; the default permits nothing."""

    schema: Literal["clearhold-agent-policy/1"] = SCHEMA
    environments: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    least_tier: Literal["namespaces", "namespaces_cgroup", "gvisor"] = "namespaces"
    require_proof: bool = False

    @property
    def tier(self) -> Tier:
        """The least isolation in which a proof may run."""
        return Tier[self.least_tier.upper()]

    def permits(self, environment: Path, package: str) -> bool:
        """Whether this package (a purl without version) may be changed in this environment."""
        named = any(Path(each).resolve() == environment.resolve() for each in self.environments)
        return named and ("*" in self.packages or package in self.packages)


def read_policy(path: Path) -> Policy:
    """Read a policy file; raises `NotFoundError` or `InvalidError`."""
    data = read_file(path, limit=1024 * 1024)
    if data is None:
        raise NotFoundError(
            f"There is no policy file {path}.", next_step="Check the path of the policy file."
        )
    try:
        policy = msgspec.json.decode(data, type=Policy)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(
            f"The policy file cannot be read: {error}.",
            next_step="Correct the policy file; nothing is applied until then.",
        ) from error
    if not all(Path(each).is_absolute() for each in policy.environments):
        raise InvalidError(
            "The policy names an environment by a relative path.",
            next_step="Name environments by absolute paths.",
        )
    return policy
