"""security.txt is read as RFC 9116 says, or refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError
from clearhold.wire.acceptance import Acceptance
from clearhold.wire.acceptance import read as read_acceptance
from clearhold.wire.acceptance import write as write_acceptance
from clearhold.wire.security_txt import LARGEST, read

EXPIRES = "Expires: 2027-01-01T00:00:00.000Z"
WHOLE = f"""# Our security address
Contact: mailto:security@example.com
contact:\thttps://example.com/report?x=y
Contact: tel:+1-201-555-0123
{EXPIRES}
Encryption: openpgp4fpr:5f2de5521c63a801ab59ccb603d49de44b29100f
Preferred-Languages: en, es,  fr-CA
Policy: https://example.com/disclosure-policy.html
Canonical: https://example.com/.well-known/security.txt
Unknown-Field: whatever it says
"""
SIGNED = f"""-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

- - a line
Contact: mailto:a@example.org
{EXPIRES}
-----BEGIN PGP SIGNATURE-----

aGVsbG8=
-----END PGP SIGNATURE-----
"""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_every_field_is_read_in_its_order(ending: str) -> None:
    said = read(WHOLE.replace("\n", ending).encode())
    assert said.contacts == (
        "mailto:security@example.com",
        "https://example.com/report?x=y",
        "tel:+1-201-555-0123",
    )
    assert said.expires == datetime(2027, 1, 1, tzinfo=UTC)
    assert said.languages == ("en", "es", "fr-CA")
    assert said.policy == ("https://example.com/disclosure-policy.html",)
    assert said.canonical == ("https://example.com/.well-known/security.txt",)
    assert not said.signed


def test_a_signature_is_noted_when_it_covers_the_whole() -> None:
    assert read(SIGNED.replace("- - a line\n", "").encode()).signed
    for cut in ("-----END PGP SIGNATURE-----\n", "\n- - a line\n"):
        with pytest.raises(InvalidError):
            read(SIGNED.replace(cut, "").encode())
    for around in (f"Contact: mailto:b@example.org\n{SIGNED}", f"{SIGNED}Policy: https://a.org\n"):
        with pytest.raises(InvalidError):
            read(around.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Contact: mailto:a@b.org",
        EXPIRES,
        f"Contact: mailto:a@b.org\n{EXPIRES}\n{EXPIRES}",
        f"Contact: a@b.org\n{EXPIRES}",
        f"Contact: http://b.org\n{EXPIRES}",
        f"Contact: https://user:pw@b.org\n{EXPIRES}",
        f"Contact: https://b.org:port/\n{EXPIRES}",
        f"Contact: javascript:alert(1)\n{EXPIRES}",
        f"Contact:mailto:a@b.org\n{EXPIRES}",
        f"Contact: mailto:a@b.org\n{EXPIRES}\nno field",
        "Contact: mailto:a@b.org\nExpires: Thu, 31 Dec 2026 18:37:07 -0800",
        "Contact: mailto:a@b.org\nExpires: 2027-02-30T00:00:00Z",
        "Contact: mailto:a@b.org\nExpires: 2027-01-01T00:00:00",
        f"Contact: mailto:a@b.org\n{EXPIRES}\nPolicy: http://b.org",
        f"Contact: mailto:a@b.org\n{EXPIRES}\nPreferred-Languages: en\nPreferred-Languages: de",
        f"Contact: mailto:a@b.org\n{EXPIRES}\nPreferred-Languages: no such!",
        f"Contact: mailto:a@b.org\n{EXPIRES}\nX: \x1b[31m",
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(InvalidError) as refused:
        read(text.encode())
    assert "cannot be used" in refused.value.message


def test_a_page_beyond_the_limit_is_not_read() -> None:
    with pytest.raises(TooLargeError):
        read(b"#" * (LARGEST + 1))


lines = st.sampled_from([*WHOLE.splitlines(), *SIGNED.splitlines()]) | st.text(max_size=30)


@given(st.binary(max_size=300) | st.lists(lines, max_size=12).map(lambda x: "\n".join(x).encode()))
def test_any_bytes_are_read_or_refused_in_words(data: bytes) -> None:
    try:
        said = read(data)
    except ClearholdError:
        pass
    else:
        assert said.contacts
        assert said.expires.tzinfo is UTC


instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(  # noqa: DTZ001
    lambda each: each.replace(tzinfo=UTC)
)


@given(st.text(), st.text(), st.integers(-(2**63), 2**63 - 1), st.text(), instants)
def test_an_acceptance_has_one_form(
    party: str, agreement: str, version: int, digest: str, at: datetime
) -> None:
    try:
        written = write_acceptance(Acceptance(party, agreement, version, digest, at))
    except UnicodeEncodeError:
        return
    if len(written) < 16 * 1024:
        assert read_acceptance(written) == Acceptance(party, agreement, version, digest, at)
    with pytest.raises(InvalidError):
        read_acceptance(written + b" ")


@given(st.binary(max_size=200))
def test_any_bytes_are_an_acceptance_or_refused(data: bytes) -> None:
    with pytest.raises(InvalidError):
        read_acceptance(data)
