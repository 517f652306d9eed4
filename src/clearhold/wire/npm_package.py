"""What the npm registry tells of a package: its releases, when each came, and what each needs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clearhold.kernel.errors import InvalidError


class _Optional(msgspec.Struct):
    optional: bool = False


class NpmRelease(msgspec.Struct, rename="camel"):
    """One release and the ranges of what it needs, by name."""

    dependencies: Mapping[str, str] = {}
    peer_dependencies: Mapping[str, str] = {}
    peer_dependencies_meta: Mapping[str, _Optional] = {}
    optional_dependencies: Mapping[str, str] = {}

    @property
    def needs(self) -> dict[str, str]:
        """What it cannot do without: dependencies and peers that are not optional."""
        peers = {
            name: stated
            for name, stated in self.peer_dependencies.items()
            if not self.peer_dependencies_meta.get(name, _Optional()).optional
        }
        own = {
            name: stated
            for name, stated in self.dependencies.items()
            if name not in self.optional_dependencies
        }
        return {**peers, **own}


class _Raw(msgspec.Struct):
    versions: dict[str, msgspec.Raw]
    time: dict[str, msgspec.Raw] = {}
    tags: dict[str, str] = msgspec.field(default_factory=dict, name="dist-tags")


class NpmPackage(msgspec.Struct):
    """The releases by version, the time of each (RFC 3339) as far as told, and the tags."""

    raw: dict[str, msgspec.Raw]
    times: dict[str, str]
    tags: dict[str, str]

    @property
    def versions(self) -> list[str]:
        """The versions, in the registry's order."""
        return list(self.raw)

    def release(self, version: str) -> NpmRelease:
        """What one release needs; nothing where old metadata is malformed."""
        try:
            return msgspec.json.decode(self.raw[version], type=NpmRelease)
        except msgspec.DecodeError:
            return NpmRelease()


def read(content: bytes) -> NpmPackage:
    """The package that the registry's document describes. Raises `InvalidError` for another."""
    try:
        found = msgspec.json.decode(content, type=_Raw)
        times = {}
        for version in found.versions:
            if version in found.time:
                times[version] = str(msgspec.json.decode(found.time[version]))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidError(
            "The registry's answer is no npm package.", next_step="Check npm's registry setting."
        ) from error
    return NpmPackage(found.versions, times, found.tags)
