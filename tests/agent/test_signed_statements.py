"""Envelopes, receipts and bundles: read strictly, and only as they were signed."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tiny_hub import START, entry, wheel

from clearhold.kernel.errors import ClearholdError, IntegrityError, InvalidError, TooLargeError
from clearhold.wire import bundle, dsse, receipt
from clearhold.wire.receipt import Receipt, ReceiptState

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
KEYS = {dsse.key_id(PUBLIC): PUBLIC}
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
RECEIPT = Receipt(
    operator="waterworks",
    environment="0123456789abcdef",
    action="a-1",
    advisory="CLEAR-2026-0001",
    package="pkg:pypi/parrot",
    from_version="1.5",
    to_version="2.0",
    state=ReceiptState.APPLIED,
    reason="The fix is installed.",
    evidence={"bundle": "0" * 64, "artefact": "1" * 64},
    counter=7,
    issued=START,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=12,
)


def test_the_signed_bytes_are_those_of_the_protocol() -> None:
    # The example of the protocol's own text.
    assert (
        dsse.pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_was_signed_is_read_back(payload: bytes, kind: str) -> None:
    assert dsse.verify(dsse.sign(payload, kind, KEY), KEYS, kind) == payload


@given(st.data())
def test_no_changed_byte_of_a_payload_or_signature_passes(data: st.DataObject) -> None:
    envelope = json.loads(dsse.sign(b"the payload", dsse.IN_TOTO, KEY))
    part = data.draw(st.sampled_from(["payload", "sig"]))
    holder = envelope if part == "payload" else envelope["signatures"][0]
    raw = bytearray(base64.b64decode(holder[part]))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    holder[part] = base64.b64encode(raw).decode()
    with pytest.raises(IntegrityError):
        dsse.verify(json.dumps(envelope).encode(), KEYS, dsse.IN_TOTO)


def test_a_strangers_signature_does_not_count() -> None:
    envelope = dsse.sign(b"x", dsse.IN_TOTO, KEY)
    for keys in ({}, {dsse.key_id(OTHER): OTHER}, {dsse.key_id(PUBLIC): OTHER}):
        with pytest.raises(IntegrityError):
            dsse.verify(envelope, keys, dsse.IN_TOTO)


def test_the_type_is_part_of_what_is_signed() -> None:
    envelope = dsse.sign(b"x", "one", KEY)
    with pytest.raises(IntegrityError):
        dsse.verify(envelope, KEYS, "other")
    with pytest.raises(IntegrityError):
        dsse.verify(envelope.replace(b'"one"', b'"other"'), KEYS, "other")


def test_url_safe_base64_and_a_missing_key_id_are_accepted_as_the_protocol_says() -> None:
    payload = b"\xff\xfe\xfb" * 4
    envelope = json.loads(dsse.sign(payload, dsse.IN_TOTO, KEY))
    envelope["payload"] = base64.urlsafe_b64encode(payload).decode()
    del envelope["signatures"][0]["keyid"]
    assert dsse.verify(json.dumps(envelope).encode(), KEYS, dsse.IN_TOTO) == payload


def test_oversized_and_unsigned_envelopes_are_refused() -> None:
    with pytest.raises(TooLargeError):
        dsse.verify(b" " * (dsse.MAX_ENVELOPE_BYTES + 1), KEYS, dsse.IN_TOTO)
    for signatures in ([], [{"sig": "AA=="}] * 17):
        envelope = {"payload": "", "payloadType": dsse.IN_TOTO, "signatures": signatures}
        with pytest.raises(InvalidError):
            dsse.verify(json.dumps(envelope).encode(), KEYS, dsse.IN_TOTO)


def test_a_statement_is_read_back_and_only_as_its_own_type() -> None:
    statement = dsse.Statement((dsse.Subject("a", "2" * 64),), "urn:one", {"k": [1, None]})
    written = dsse.write_statement(statement)
    assert dsse.read_statement(written, "urn:one") == statement
    with pytest.raises(InvalidError):
        dsse.read_statement(written, "urn:two")
    with pytest.raises(InvalidError):
        dsse.read_statement(written.replace(b"2" * 64, b"2" * 63), "urn:one")


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_hostile_text_escapes_the_readers_as_another_error(data: bytes) -> None:
    for reader in (
        lambda: dsse.verify(data, KEYS, dsse.IN_TOTO),
        lambda: dsse.read_statement(data, "urn:one"),
        lambda: receipt.verify(data, KEYS),
        lambda: receipt.verify(dsse.sign(data, dsse.IN_TOTO, KEY), KEYS),
        lambda: bundle.read(data),
    ):
        with pytest.raises(ClearholdError):
            reader()


@given(JSON)
def test_no_hostile_predicate_escapes_as_another_error(value: object) -> None:
    statement = {
        "_type": dsse.STATEMENT_TYPE,
        "subject": [{"name": "x", "digest": {"sha256": "0" * 64}}],
        "predicateType": receipt.PREDICATE_TYPE,
        "predicate": {"counter": value, "evidence": value, "state": value},
    }
    with pytest.raises(ClearholdError):
        receipt.verify(dsse.sign(json.dumps(statement).encode(), dsse.IN_TOTO, KEY), KEYS)


def test_a_receipt_verifies_and_says_what_was_signed() -> None:
    assert receipt.verify(receipt.sign(RECEIPT, KEY), KEYS) == RECEIPT


@pytest.mark.parametrize(
    "change",
    [
        {"state": "verified_fixed"},
        {"counter": 8},
        {"operator": "bank"},
        {"to_version": "3.0"},
        {"evidence": {"bundle": "0" * 64}},
    ],
)
def test_an_altered_receipt_is_refused(change: dict[str, object]) -> None:
    envelope = json.loads(receipt.sign(RECEIPT, KEY))
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"] |= change
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    with pytest.raises(IntegrityError):
        receipt.verify(json.dumps(envelope).encode(), KEYS)


@pytest.mark.parametrize(
    "change",
    [
        {"operator": "two words"},
        {"package": "parrot"},
        {"from_version": "1" * 129},
        {"reason": "x" * 2001},
        {"counter": 0},
        {"issued": datetime(2026, 6, 5)},  # noqa: DTZ001  # the missing zone is what is refused
        {"evidence": {}},
        {"evidence": {"bundle": "0"}},
    ],
)
def test_a_receipt_with_an_odd_field_is_neither_signed_nor_read(change: dict[str, object]) -> None:
    with pytest.raises(InvalidError):
        receipt.sign(replace(RECEIPT, **change), KEY)  # type: ignore[arg-type]


BUNDLE = bundle.Bundle(number=1, issued=START, advisories=(entry(wheel()),))


def test_a_bundle_is_read_back_and_written_the_same() -> None:
    data = bundle.write(BUNDLE)
    assert bundle.read(data) == BUNDLE
    assert bundle.write(bundle.read(data)) == data


def altered(path: tuple[str | int, ...], value: object) -> bytes:
    document = json.loads(bundle.write(BUNDLE))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(document).encode()


ADVISORY = ("advisories", 0)
PROBE = (*ADVISORY, "probes", 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "clearhold-bundle/2"),
        (("number",), 0),
        (("number",), True),
        (("issued",), "2026-06-05T12:00:00"),
        (("surprise",), 1),
        (("advisories",), [json.loads(bundle.write(BUNDLE))["advisories"][0]] * 2),
        ((*ADVISORY, "id"), "../x"),
        ((*ADVISORY, "published"), "2026-06-05T12:00:00"),
        ((*ADVISORY, "affected", 0, "package"), "pkg:"),
        ((*ADVISORY, "affected", 0, "ranges", 0, "introduced"), ""),
        ((*ADVISORY, "remedies", 0, "artefact", "path"), "../../etc/passwd"),
        ((*ADVISORY, "remedies", 0, "artefact", "sha256"), "0" * 63),
        ((*ADVISORY, "remedies", 0, "artefact", "length"), -1),
        ((*PROBE, "argv"), []),
        ((*PROBE, "argv"), ["a\0b"]),
        ((*PROBE, "files"), {"/etc/x": {"path": "a", "sha256": "0" * 64, "length": 1}}),
        ((*PROBE, "files"), {"/in/../x": {"path": "a", "sha256": "0" * 64, "length": 1}}),
        ((*PROBE, "works"), {"exit_codes": [0]}),
        ((*PROBE, "works"), {}),
        ((*PROBE, "clean"), {}),
        ((*PROBE, "wall_s"), 301),
    ],
)
def test_an_odd_bundle_is_refused(path: tuple[str | int, ...], value: object) -> None:
    with pytest.raises(InvalidError):
        bundle.read(altered(path, value))


def test_only_plain_bundle_paths_count_as_bundles() -> None:
    assert bundle.bundle_number(bundle.target_path(12)) == 12
    for path in ("bundles/0.json", "bundles/01.json", "bundles/1.json.x", "x/bundles/1.json"):
        assert bundle.bundle_number(path) is None


def test_a_dates_zone_does_not_change_a_bundles_bytes() -> None:
    elsewhere = datetime.fromisoformat("2026-06-05T14:00:00+02:00")
    moved = msgspec.structs.replace(BUNDLE, issued=elsewhere)
    assert bundle.write(moved) == bundle.write(BUNDLE)
    assert elsewhere.astimezone(UTC) == START
