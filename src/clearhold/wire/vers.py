"""Version ranges as one line of text: VERS (`vers:type/constraint|constraint|…`).

Written are the half-open and closed ranges advisories use. Read are those and whatever sorts into
them; `!=` is refused, because an advisory that means it can list its versions.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Range
from clearhold.kernel.versions import scheme_for

_MAX_LENGTH = 4096
_COMPARATORS = (">=", "<=", "!=", ">", "<")


def write(purl_type: str, stated: Range) -> str:
    """`stated` in VERS for packages of `purl_type`."""
    constraints = []
    if stated.introduced != "0":
        constraints.append(f">={quote(stated.introduced, safe='')}")
    if stated.fixed is not None:
        constraints.append(f"<{quote(stated.fixed, safe='')}")
    elif stated.last_affected is not None:
        constraints.append(f"<={quote(stated.last_affected, safe='')}")
    return f"vers:{purl_type}/{'|'.join(constraints) or '*'}"


def read(text: str) -> tuple[str, tuple[Range, ...], tuple[str, ...]]:
    """The package type, the ranges and the single versions that `text` states.

    Raises `InvalidError` when it is no VERS text or holds what a range cannot express.
    """
    scheme, slash, body = text.removeprefix("vers:").partition("/")
    if len(text) > _MAX_LENGTH or not text.startswith("vers:") or not slash or not body:
        raise _refused(text)
    if body == "*":
        return scheme, (Range(),), ()
    versions: list[str] = []
    bounds: list[tuple[bytes, str, str]] = []
    for constraint in body.split("|"):
        comparator = next((c for c in _COMPARATORS if constraint.startswith(c)), "")
        try:
            version = unquote(constraint.removeprefix(comparator), errors="strict")
        except UnicodeDecodeError as problem:
            raise _refused(text) from problem
        if not version:
            raise _refused(text)
        if not comparator:
            versions.append(version)
        else:
            bounds.append((scheme_for(scheme).key(version), comparator, version))
    return scheme, _ranges(text, sorted(bounds)), tuple(versions)


def _ranges(text: str, bounds: list[tuple[bytes, str, str]]) -> tuple[Range, ...]:
    """Pair lower bounds with the upper bounds that follow them."""
    ranges: list[Range] = []
    low: str | None = None
    for position, (_, comparator, version) in enumerate(bounds):
        if comparator == ">=":
            if low is not None:
                raise _refused(text)
            low = version
        elif comparator in {"<", "<="}:
            if low is None and position:
                raise _refused(text)
            upper = {"fixed" if comparator == "<" else "last_affected": version}
            ranges.append(Range(low or "0", **upper))
            low = None
        else:
            raise _refused(text)
    if low is not None:
        ranges.append(Range(low))
    return tuple(ranges)


def _refused(text: str) -> InvalidError:
    return InvalidError(
        f"{text[:80]!a} is no version range that can be read.",
        next_step="Write it as vers:type/>=first|<fixed, for example vers:pypi/>=1.0|<1.2.",
    )
