"""Version order, one module per scheme, as byte strings whose order is the versions' order.

A key can be compared, sorted and indexed by any engine that orders bytes; the version itself
need not be parsed again. Keys of different schemes are not comparable.

Shared building block: a natural number is one length byte (1 to 254) followed by its decimal
digits, so that longer numbers sort after shorter ones and a zero byte sorts before any number.
"""

from __future__ import annotations

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.versions import debian, pep440, semver
from clearhold.kernel.versions.scheme import Scheme

_BY_PURL_TYPE = {
    "pypi": pep440.SCHEME,
    "deb": debian.SCHEME,
    "npm": semver.SCHEME,
    "cargo": semver.SCHEME,
    "golang": semver.SCHEME,
    "generic": semver.SCHEME,
    "github": semver.SCHEME,
}


def scheme_for(purl_type: str) -> Scheme:
    """The scheme that orders versions of packages of `purl_type`.

    Raises `InvalidError` for a type whose order is not implemented: callers treat that as not
    knowing, never as not affected.
    """
    try:
        return _BY_PURL_TYPE[purl_type]
    except KeyError:
        raise InvalidError(
            f"The version order of {ascii(purl_type)[1:-1]} packages is not known here.",
            next_step="List the affected versions one by one, or name a package of another type: "
            + ", ".join(sorted(_BY_PURL_TYPE))
            + ".",
        ) from None


__all__ = ["Scheme", "scheme_for"]
