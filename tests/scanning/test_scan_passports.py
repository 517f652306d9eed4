"""Passports verify from files alone, and no forged, stale or misplaced one does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import OKPKey
from live_scene import LiveScene
from typer.testing import CliRunner

from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique
from clearhold.delivery.cli import main, scan_live
from clearhold.delivery.http.app import make_app
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    InvalidError,
    NotFoundError,
    ThrottledError,
    TooLargeError,
)
from clearhold.scanning.live_targets import parse_target
from clearhold.scanning.passport_reading import Probe, faults, source_of
from clearhold.scanning.passports import Issued
from clearhold.wire import scan_passport
from clearhold.wire.scan_passport import LONGEST, read_keys, read_passport, read_status
from in_process_http import client_of

SHOP = "https://shop.water.example/"
SOURCE = "198.51.100.7"
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def scene(hub: Hub, party_of: Callable[..., Actor]) -> LiveScene:
    made = LiveScene(hub, party_of)
    made.allow()
    return made


@pytest.fixture
def issued(scene: LiveScene) -> Issued:
    lab = scene.lab("lab")
    return scene.passport(lab, scene.claim(lab, SHOP, "network:203.0.113.0/28"))


def _keys(scene: LiveScene) -> scan_passport.TrustedKeys:
    return read_keys(scene.hub.live.passports.keys())


def _status(scene: LiveScene, passport: scan_passport.Passport) -> scan_passport.StatusList:
    day = passport.reference.uri.rpartition("/")[2]
    return read_status(scene.hub.live.passports.status(day), _keys(scene))


def _faults(scene: LiveScene, issued: Issued, **seen: Any) -> tuple[str, ...]:
    shown = read_passport(issued.token, _keys(scene))
    return faults(shown, _status(scene, shown), Probe(**seen), scene.hub.clock.now())


def test_a_passport_says_what_is_allowed_and_not_who_it_is_for(
    scene: LiveScene, issued: Issued
) -> None:
    """Targets, technique, rate, sources and contact; the holder under a pseudonym."""
    shown = read_passport(issued.token, _keys(scene))
    assert shown.aud == "water"
    assert shown.scan.requests_per_second == 20
    assert shown.scan.contact == "soc@water.example"
    assert shown.scan.sources == (f"{SOURCE}/32",)
    assert set(shown.scan.targets) == {SHOP, "network:203.0.113.0/28"}
    assert "lab" not in issued.token + base64.b64decode(issued.token.split(".")[1] + "==").decode()
    assert not _faults(
        scene,
        issued,
        audience="water",
        target=parse_target("https://shop.water.example/cart"),
        source=source_of(f"::ffff:{SOURCE}"),
        technique="dynamic",
    )


def test_a_passport_is_good_for_nothing_else(scene: LiveScene, issued: Issued) -> None:
    """Another owner, target, scheme, source or technique is not the passport's."""
    for seen in (
        {"audience": "power"},
        {"target": parse_target("https://mail.water.example/")},
        {"target": parse_target("http://shop.water.example/")},
        {"target": parse_target("host:203.0.113.16")},
        {"target": parse_target("domain:*.water.example")},
        {"source": source_of("198.51.100.8")},
        {"technique": "credentialed"},
    ):
        assert len(_faults(scene, issued, **seen)) == 1, seen


def test_a_passport_ends_and_a_list_goes_stale(
    scene: LiveScene, issued: Issued, clock: Any
) -> None:
    """A list is good for five minutes; a passport never a moment beyond its end."""
    shown = read_passport(issued.token, _keys(scene))
    listed = _status(scene, shown)
    now = scene.hub.clock.now()
    assert faults(shown, None, Probe(), now)
    assert not faults(shown, listed, Probe(), now + timedelta(minutes=4, seconds=59))
    assert faults(shown, listed, Probe(), now + timedelta(minutes=5))
    assert faults(shown, listed, Probe(), now - timedelta(minutes=1))
    clock.advance(timedelta(hours=1))
    assert any("expired" in each for each in _faults(scene, issued))


def test_revoking_shows_in_the_next_list_and_at_once_in_the_check(
    scene: LiveScene, issued: Issued
) -> None:
    """By holder or owner; again changes nothing, and nothing else is revoked with it."""
    check = scene.hub.live.check.authorised
    asked = {"target": SHOP, "source": SOURCE}
    assert check(issued.token, **asked, asked_from="192.0.2.1")
    assert check(issued.code, **asked, asked_from="192.0.2.1")
    scene.hub.live.passports.revoke(scene.owner, issued.id)
    scene.hub.live.passports.revoke(scene.owner, issued.id)
    assert _faults(scene, issued) == ("The passport is revoked.",)
    assert not check(issued.token, **asked, asked_from="192.0.2.1")
    assert not check(issued.code, **asked, asked_from="192.0.2.1")
    with pytest.raises(NotFoundError):
        scene.hub.live.passports.revoke(scene.coordinator, "no-such-passport")


def test_a_lapsed_lease_takes_its_passports_along(
    scene: LiveScene, issued: Issued, clock: Any
) -> None:
    clock.advance(timedelta(minutes=15))
    assert _faults(scene, issued) == ("The passport is revoked.",)
    assert not scene.hub.live.check.authorised(
        issued.code, target=SHOP, source=SOURCE, asked_from="192.0.2.1"
    )


def test_a_passport_is_for_the_lease_and_no_more(scene: LiveScene, clock: Any) -> None:
    """Not for other targets, not longer than its window, not for everywhere, and a few at a time."""
    lab = scene.lab("lab")
    held = scene.claim(lab, SHOP, hours=0.5)
    assert scene.passport(lab, held).expires_at == held.lease.window_ends_at
    part = scene.passport(lab, held, targets=["https://shop.water.example/cart"])
    assert read_passport(part.token, _keys(scene)).scan.targets == (
        "https://shop.water.example/cart",
    )
    wrongs: tuple[dict[str, Any], ...] = (
        {"targets": ["host:shop.water.example"]},
        {"sources": ()},
        {"sources": ("0.0.0.0/0",)},
        {"sources": ("x",)},
        {"life": timedelta(hours=5)},
        {"life": timedelta(0)},
    )
    for wrong in wrongs:
        with pytest.raises(InvalidError):
            scene.passport(lab, held, **wrong)
    for _ in range(6):
        scene.passport(lab, held)
    with pytest.raises(ConflictError):
        scene.passport(lab, held)


def test_the_status_list_tells_strangers_nothing(scene: LiveScene, clock: Any) -> None:
    """It is as full with passports as without; no bit turns for what is issued, and many turn anyway."""
    day = str(scene.hub.clock.now().date())

    def bits() -> int:
        listed = read_status(scene.hub.live.passports.status(day), _keys(scene))
        return int.from_bytes(listed.bits, "little")

    before = bits()
    lab = scene.lab("lab")
    held = scene.claim(lab, SHOP)
    for _ in range(8):
        scene.passport(lab, held)
    assert bits() == before
    clock.advance(timedelta(minutes=1))
    assert (bits() ^ before).bit_count() > 5
    for other in (str(scene.hub.clock.now().date() - timedelta(days=2)), "2026-13-45"):
        with pytest.raises(NotFoundError):
            scene.hub.live.passports.status(other)


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _forged(scene: LiveScene, issued: Issued) -> dict[str, str]:
    head, body, signature = issued.token.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    kid = header["kid"]
    public = next(iter(_keys(scene).keys.values()))
    raw = public.raw_value.public_bytes_raw()  # type: ignore[union-attr]
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    other = Ed25519PrivateKey.generate()
    stolen = OKPKey.import_key(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": base64.urlsafe_b64encode(other.public_key().public_bytes_raw())
            .decode()
            .strip("="),
            "d": base64.urlsafe_b64encode(other.private_bytes_raw()).decode().strip("="),
        }
    )

    def signed(changed: dict[str, Any], payload: dict[str, Any] = claims) -> str:
        return jws.serialize_compact(
            {"alg": "Ed25519", **changed}, json.dumps(payload), stolen, algorithms=["Ed25519"]
        )

    def with_secret(secret: bytes) -> str:
        first = _part({**header, "alg": "HS256"})
        mac = hmac.new(secret, f"{first}.{body}".encode(), hashlib.sha256).digest()
        return f"{first}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    day = str(scene.hub.clock.now().date())
    return {
        "no algorithm": f"{_part({**header, 'alg': 'none'})}.{body}.",
        "no algorithm, signed": f"{_part({**header, 'alg': 'none'})}.{body}.{signature}",
        "key as a secret": with_secret(raw),
        "published key as a secret": with_secret(scene.hub.live.passports.keys()),
        "old algorithm name": f"{_part({**header, 'alg': 'EdDSA'})}.{body}.{signature}",
        "another key": signed({"kid": kid, "typ": header["typ"]}),
        "own key by id": signed({"kid": stolen.thumbprint(), "typ": header["typ"]}),
        "own key inside": signed(
            {"kid": kid, "typ": header["typ"], "jwk": stolen.as_dict(private=False)}
        ),
        "key from elsewhere": signed(
            {"kid": kid, "typ": header["typ"], "jku": "https://evil.example/k"}
        ),
        "a path as key": signed({"kid": "../../../../dev/null", "typ": header["typ"]}),
        "critical": signed({"kid": kid, "typ": header["typ"], "crit": ["b64"], "b64": False}),
        "no key named": signed({"typ": header["typ"]}),
        "a list as a passport": scene.hub.live.passports.status(day),
        "another type": f"{_part({**header, 'typ': 'JWT'})}.{body}.{signature}",
        "altered claims": f"{head}.{_part({**claims, 'aud': 'power'})}.{signature}",
        "altered signature": issued.token[:-3] + ("AAA" if issued.token[-3:] != "AAA" else "BBB"),
        "header twice": f"{base64.urlsafe_b64encode(b'{' + b'%b,' % json.dumps(header).encode()[1:-1] + json.dumps(header).encode()[1:]).rstrip(b'=').decode()}.{body}.{signature}",
        "no signature": f"{head}.{body}.",
        "cut": issued.token[:40],
        "nested": f"{_part([[[[]]]])}.{body}.{signature}",
        "deep": f"{base64.urlsafe_b64encode(b'[' * 3000).decode()}.{body}.{signature}",
        "long": issued.token + "A" * LONGEST,
        "nothing": "",
        "dots": "..",
        "not text": "\N{SNOWMAN}.\N{SNOWMAN}.\N{SNOWMAN}",
    }


def test_no_forged_passport_is_read_or_authorised(scene: LiveScene, issued: Issued) -> None:
    """Algorithms, keys, types, claims, headers and lengths that an attacker may choose."""
    keys = _keys(scene)
    for number, (what, token) in enumerate(_forged(scene, issued).items()):
        with pytest.raises(ClearholdError):
            read_passport(token, keys)
            pytest.fail(what)
        answer = False
        with suppress(InvalidError):
            answer = scene.hub.live.check.authorised(
                token, target=SHOP, source=SOURCE, asked_from=f"192.0.2.{number}"
            )
        assert not answer, what


def test_a_list_is_not_taken_from_others_nor_without_bounds(scene: LiveScene) -> None:
    """A passport is no list; what unpacks without end is refused."""
    lab = scene.lab("lab")
    issued = scene.passport(lab, scene.claim(lab, SHOP))
    keys = _keys(scene)
    with pytest.raises(ClearholdError):
        read_status(issued.token, keys)
    key = Ed25519PrivateKey.generate()
    signer = scan_passport.Signer("http://hub", lambda: (key,))
    now = scene.hub.clock.now()
    bomb = signer.status("u", bytes(60_000), issued_at=now, expires_at=now, ttl=1)
    with pytest.raises(InvalidError):
        read_status(bomb, read_keys(signer.keys()))
    assert len(zlib.compress(bytes(60_000))) < 1000
    with pytest.raises(ClearholdError):
        read_status(bomb, keys)
    other = scan_passport.Signer("http://other", lambda: (key,))
    with pytest.raises(ClearholdError):  # the same key, another hub
        read_status(bomb, read_keys(other.keys()))


def test_keys_are_public_ones_of_one_kind(scene: LiveScene) -> None:
    """Private, foreign or nameless keys are no published keys."""
    plain = json.loads(scene.hub.live.passports.keys())
    (one,) = plain["keys"]
    assert "d" not in one
    for wrong in (
        {"keys": [one]},
        {"issuer": "x", "keys": []},
        {"issuer": "x", "keys": [one] * 17},
        {"issuer": "x", "keys": [{**one, "d": one["x"]}]},
        {"issuer": "x", "keys": [{**one, "crv": "X25519"}]},
        {"issuer": "x", "keys": [{**one, "use": "enc"}]},
        {"issuer": "x", "keys": [{"kty": "oct", "k": "AAAA"}]},
        {"issuer": "x", "keys": [{**one, "x": "AA"}]},
        {"issuer": "x", "keys": "x"},
        [],
    ):
        with pytest.raises(InvalidError):
            read_keys(json.dumps(wrong).encode())
    with pytest.raises(TooLargeError):
        read_keys(b" " * 100_000)


def test_the_public_check_says_yes_only_to_who_was_shown_the_passport(
    scene: LiveScene, issued: Issued
) -> None:
    """Ids, codes of nobody, and right codes at other targets or from other sources are a no."""
    check = scene.hub.live.check.authorised
    for number, (shown, target, source) in enumerate(
        (
            (issued.id, SHOP, SOURCE),
            ("csp-" + "0" * 32, SHOP, SOURCE),
            (issued.code.upper(), SHOP, SOURCE),
            (issued.code, "https://mail.water.example/", SOURCE),
            (issued.code, SHOP, "198.51.100.8"),
            ("csp-" + "a" * 32, "host:192.0.2.1", SOURCE),
        )
    ):
        asked_from = f"192.0.2.{number}"
        assert not check(shown, target=target, source=source, asked_from=asked_from)
    for wrong in ({"target": "x", "source": SOURCE}, {"target": SHOP, "source": "x"}):
        with pytest.raises(InvalidError):
            check(issued.code, **wrong, asked_from="192.0.2.1")


def test_who_asks_too_often_in_vain_is_throttled(scene: LiveScene, issued: Issued) -> None:
    """A code that was seen does not map what else it is for; its owner's centre is not locked out."""
    check = scene.hub.live.check.authorised
    noes = 0
    with pytest.raises(ThrottledError):
        for guess in range(100):
            noes += not check(
                issued.code,
                target=f"host:203.0.113.{guess + 16}",
                source=SOURCE,
                asked_from="192.0.2.66",
            )
    assert noes <= 30
    assert check(issued.code, target=SHOP, source=SOURCE, asked_from="192.0.2.77")


def test_a_code_alone_opens_what_the_database_keeps(scene: LiveScene, issued: Issued) -> None:
    """Neither code nor passport stands in the database, sealed or not, for the hub to read."""
    with scene.hub.sessions.transaction() as unit:
        rows = unit.connection.exec_driver_sql("SELECT code, capsule FROM live_passport").all()
    stored = b"".join(bytes(each) for row in rows for each in row)
    assert issued.code.encode() not in stored
    assert issued.token.encode() not in stored
    assert bytes.fromhex(issued.code.removeprefix("csp-")) not in stored


def test_a_security_centre_verifies_from_files_alone(
    scene: LiveScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command needs neither a hub nor a token; it exits with 1 when the passport does not hold."""

    class Now:
        @staticmethod
        def now(_zone: object) -> Any:
            return scene.hub.clock.now()

    lab = scene.lab("lab")
    issued = scene.passport(lab, scene.claim(lab, SHOP))
    monkeypatch.setattr(scan_live, "datetime", Now)
    monkeypatch.delenv("CLEARHOLD_TOKEN", raising=False)
    monkeypatch.setenv("CLEARHOLD_URL", "http://nowhere.invalid")
    day = str(scene.hub.clock.now().date())
    (tmp_path / "passport").write_text(issued.token + "\n")
    (tmp_path / "keys.json").write_bytes(scene.hub.live.passports.keys())
    (tmp_path / "status").write_text(scene.hub.live.passports.status(day))
    command = ["scan", "passport", "verify", str(tmp_path / "passport"), "--json"]
    command += ["--keys", str(tmp_path / "keys.json"), "--status", str(tmp_path / "status")]
    run = CliRunner()
    good = run.invoke(
        main.app, [*command, "--audience", "water", "--target", SHOP, "--source", SOURCE]
    )
    assert good.exit_code == 0, good.output
    said = json.loads(good.output)
    assert said["valid"] is True
    assert said["technique"] == Technique.DYNAMIC
    for wrong in (["--audience", "power"], ["--target", "host:a.example"], ["--source", "::1:2"]):
        bad = run.invoke(main.app, [*command, *wrong])
        assert bad.exit_code == 1, bad.output
    scene.hub.live.passports.revoke(lab, issued.id)
    (tmp_path / "status").write_text(scene.hub.live.passports.status(day))
    gone = run.invoke(main.app, command)
    assert gone.exit_code == 1
    assert "revoked" in gone.output


def test_anybody_fetches_keys_and_lists_and_asks_and_learns_one_bit(
    scene: LiveScene, issued: Issued
) -> None:
    """Without a token; the answer has one member, whatever was asked."""
    day = str(scene.hub.clock.now().date())
    with client_of(make_app(scene.hub), {}) as stranger:
        keys = read_keys(stranger.get(scan_passport.KEYS_PATH).content)
        listed = read_status(stranger.get(f"{scan_passport.STATUS_PATH}/{day}").text, keys)
        shown = read_passport(issued.token, keys)
        assert not faults(shown, listed, Probe(), scene.hub.clock.now())
        answers = []
        for code, target in (
            (issued.code, SHOP),
            (issued.token, SHOP),
            (issued.code, "host:a.example"),
            ("csp-0", SHOP),
        ):
            question = {"passport": code, "target": target, "source": SOURCE}
            answer = stranger.post(scan_passport.CHECK_PATH, json=question)
            assert answer.json().keys() == {"authorised"}
            answers.append(answer.json()["authorised"])
        assert answers == [True, True, False, False]
        long = {"passport": "x" * 20_000, "target": SHOP, "source": SOURCE}
        assert stranger.post(scan_passport.CHECK_PATH, json=long).status_code == 422
