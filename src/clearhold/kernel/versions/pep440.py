"""Python versions: PEP 440 as kept in the "version specifiers" packaging standard.

Key: epoch, release without trailing zeros, then one byte each for the pre-release, post-release
and development phase in the order the standard gives, then the local label.
"""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from clearhold.kernel.versions.scheme import Scheme, number, unreadable

_END = b"\x00"
_PRE_PHASES = {"a": b"\x01", "b": b"\x02", "rc": b"\x03"}
_NAME = "PEP 440"


def _encode(version: str) -> bytes:
    try:
        parsed = Version(version)
    except (InvalidVersion, ValueError) as problem:
        raise unreadable(version, _NAME) from problem

    def natural(value: int) -> bytes:
        return number(str(value), version=version, scheme=_NAME)

    release = list(parsed.release)
    while release and release[-1] == 0:
        release.pop()
    parts = [natural(parsed.epoch), *map(natural, release), _END]
    if parsed.pre is not None:
        parts += [_PRE_PHASES[parsed.pre[0]], natural(parsed.pre[1])]
    elif parsed.post is None and parsed.dev is not None:
        # 1.0.dev1 comes before 1.0a1, although it names no pre-release
        parts.append(b"\x00")
    else:
        parts.append(b"\x04")
    parts += [b"\x00"] if parsed.post is None else [b"\x01", natural(parsed.post)]
    parts += [b"\x02"] if parsed.dev is None else [b"\x01", natural(parsed.dev)]
    if parsed.local is not None:
        for segment in parsed.local.split("."):
            if segment.isdigit():
                parts += [b"\x02", number(segment, version=version, scheme=_NAME)]
            else:
                parts += [b"\x01", segment.encode("ascii"), _END]
    parts.append(_END)
    return b"".join(parts)


SCHEME = Scheme(_NAME, _encode)
