"""`clearhold scan authorisation`, `live` and `passport`: scans of systems that run."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from clearhold.catalogue.model import Technique
from clearhold.delivery.cli import party_key
from clearhold.delivery.cli.output import JsonOption, hub, hub_for_a_stranger, show, told
from clearhold.kernel.errors import ConflictError, InvalidError, UnavailableError
from clearhold.scanning.live_scope import Depth
from clearhold.scanning.live_targets import parse_target
from clearhold.scanning.model import Mode
from clearhold.scanning.passport_reading import Probe, faults, source_of
from clearhold.wire import dsse, scan_consent, scan_passport
from clearhold.wire.scan_passport import CHECK_PATH, KEYS_PATH, STATUS_PATH

authorisation = typer.Typer(
    help="Allow scans of your own live systems, and take that back.", no_args_is_help=True
)
live = typer.Typer(help="Scan live systems under a lease, and stop scans.", no_args_is_help=True)
passport = typer.Typer(help="Scan passports: issue, verify, revoke.", no_args_is_help=True)

_LARGEST: Final = 256 * 1024
_Targets = Annotated[
    list[str],
    typer.Argument(help="domain:*.example.org, network:192.0.2.0/24, https://example.org/a, …"),
]
_DEPTH = typer.Option(Depth.CHECKS, help="How deeply at most.")


@authorisation.command("lodge")
@told
def lodge(  # a consent says this much
    targets: _Targets,
    key: Annotated[Path, typer.Option(help="Your party's private key.")],
    technique: Annotated[list[Technique], typer.Option(help="A technique you allow; repeat.")],
    contact: Annotated[str, typer.Option(help="How to reach your security centre.")],
    depth: Depth = _DEPTH,
    days: Annotated[int, typer.Option(help="For how many days from now.")] = 30,
    blackout: Annotated[
        list[str] | None,
        typer.Option(help="weekly mon-fri 08:00-18:00 Europe/Berlin; repeat."),
    ] = None,
    rate: Annotated[int, typer.Option(help="Requests per second of each holder at most.")] = 10,
    at_once: Annotated[int, typer.Option(help="How many leases may stand at once.")] = 1,
    holder: Annotated[
        list[str] | None,
        typer.Option(help="The handle of a party you allow; repeat. Without: any agreed party."),
    ] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Sign and lodge a consent to scans of systems that your party stands for."""
    signer = party_key.load(key)
    connection = hub()
    now = datetime.now(UTC).replace(microsecond=0)
    consent = scan_consent.ScanConsent(
        blackouts=tuple(blackout or ()),
        concurrency=at_once,
        contact=contact,
        depth=depth,
        holders=tuple(holder) if holder else None,
        nonce=secrets.token_hex(16),
        not_before=now,
        party=connection.get("/parties/self")["party"],
        requests_per_second=rate,
        targets=tuple(targets),
        techniques=tuple(sorted(technique)),
        until=now + timedelta(days=days),
    )
    envelope = dsse.sign(scan_consent.write(consent), scan_consent.PAYLOAD_TYPE, signer)
    answer = connection.upload(
        "/scanning/authorisations",
        envelope,
        media_type="application/json",
        key=str(uuid.uuid4()),
    )
    show(answer, as_json=as_json)


@authorisation.command("list")
@told
def authorisations(*, as_json: bool = JsonOption) -> None:
    """List your consents."""
    show(hub().get("/scanning/authorisations"), as_json=as_json)


@authorisation.command("show")
@told
def show_authorisation(identity: str, *, as_json: bool = JsonOption) -> None:
    """Show one of your consents."""
    show(hub().get(f"/scanning/authorisations/{identity}"), as_json=as_json)


@authorisation.command("withdraw")
@told
def withdraw(identity: str, *, as_json: bool = JsonOption) -> None:
    """Take a consent back; leases and passports under it end at once."""
    show(hub().post(f"/scanning/authorisations/{identity}/withdrawal"), as_json=as_json)


@authorisation.command("told")
@told
def told_of(identity: str, *, as_json: bool = JsonOption) -> None:
    """Show which holders were told that their leases ended, and have acknowledged it."""
    show(hub().get(f"/scanning/authorisations/{identity}/told"), as_json=as_json)


@live.command("claim")
@told
def claim(
    technique: Technique,
    targets: _Targets,
    depth: Depth = _DEPTH,
    mode: Mode = Mode.EXCLUSIVE,
    hours: Annotated[float, typer.Option(help="For how many hours at most.")] = 4,
    budget: Annotated[int, typer.Option(help="How many seconds of scanning you mean.")] = 3600,
    key: Annotated[
        str | None, typer.Option(help="Makes a repeated command have one effect.")
    ] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Lease live systems under their owner's consent."""
    body = {
        "targets": targets,
        "technique": technique,
        "depth": depth,
        "mode": mode,
        "window_hours": hours,
        "budget_s": budget,
    }
    show(hub().post("/scanning/live/leases", body, key=key or str(uuid.uuid4())), as_json=as_json)


@live.command("list")
@told
def leases(*, as_json: bool = JsonOption) -> None:
    """List your live leases."""
    show(hub().get("/scanning/live/leases"), as_json=as_json)


@live.command("show")
@told
def show_lease(lease: str, *, as_json: bool = JsonOption) -> None:
    """Show one of your live leases."""
    show(hub().get(f"/scanning/live/leases/{lease}"), as_json=as_json)


@live.command("heartbeat")
@told
def heartbeat(lease: str, fence: int, *, as_json: bool = JsonOption) -> None:
    """Keep a live lease from lapsing, more often than every quarter of an hour; heed what it says."""
    show(hub().post(f"/scanning/live/leases/{lease}/heartbeat", {"fence": fence}), as_json=as_json)


@live.command("release")
@told
def release(lease: str, fence: int, *, as_json: bool = JsonOption) -> None:
    """Give a live lease back, with its passports."""
    show(hub().post(f"/scanning/live/leases/{lease}/release", {"fence": fence}), as_json=as_json)


@live.command("stop")
@told
def stop(
    targets: _Targets,
    reason: Annotated[str, typer.Option(help="Why, in one line; holders are not told.")],
    *,
    as_json: bool = JsonOption,
) -> None:
    """Stop every scan that reaches a target, at once and until you lift it."""
    show(
        hub().post("/scanning/live/stops", {"targets": targets, "reason": reason}), as_json=as_json
    )


@live.command("stops")
@told
def stops(*, as_json: bool = JsonOption) -> None:
    """List your stops, and which holders have not acknowledged them."""
    show(hub().get("/scanning/live/stops"), as_json=as_json)


@live.command("stopped")
@told
def stopped(identity: str, *, as_json: bool = JsonOption) -> None:
    """Show one of your stops."""
    show(hub().get(f"/scanning/live/stops/{identity}"), as_json=as_json)


@live.command("lift")
@told
def lift(identity: str, *, as_json: bool = JsonOption) -> None:
    """Let a stop stand no more; nothing it ended comes back."""
    show(hub().post(f"/scanning/live/stops/{identity}/lifting"), as_json=as_json)


@live.command("notices")
@told
def notices(*, as_json: bool = JsonOption) -> None:
    """List what you were told to stop and have not acknowledged."""
    show(hub().get("/scanning/live/notices"), as_json=as_json)


@live.command("acknowledge")
@told
def acknowledge(notice: str, *, as_json: bool = JsonOption) -> None:
    """Say that a scan has stopped."""
    show(hub().post(f"/scanning/live/notices/{notice}/acknowledgement"), as_json=as_json)


@live.command("check")
@told
def check(
    shown: Annotated[str, typer.Argument(help="The passport or code that the probe showed.")],
    target: str,
    source: str,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Ask the hub whether a scan is authorised now; needs no token. Exit 1 for no."""
    body = {"passport": shown, "target": target, "source": source}
    answer = hub_for_a_stranger().ask(CHECK_PATH, body)
    show(answer, as_json=as_json)
    if not answer["authorised"]:
        raise typer.Exit(1)


@passport.command("issue")
@told
def issue(
    lease: str,
    fence: int,
    source: Annotated[list[str], typer.Option(help="From where you scan; repeat.")],
    minutes: Annotated[float, typer.Option(help="For how many minutes, up to 240.")] = 60,
    target: Annotated[
        list[str] | None, typer.Option(help="One of the lease's targets; without, all.")
    ] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Get a passport for a live lease; to renew one, get another."""
    body = {"fence": fence, "sources": source, "minutes": minutes, "targets": target or []}
    show(hub().post(f"/scanning/live/leases/{lease}/passports", body), as_json=as_json)


@passport.command("revoke")
@told
def revoke(identity: str, *, as_json: bool = JsonOption) -> None:
    """Revoke a passport of yours, or one for your systems, by its id (jti)."""
    show(hub().post(f"/scanning/live/passports/{identity}/revocation"), as_json=as_json)


@passport.command("fetch")
@told
def fetch(to: Path, *, as_json: bool = JsonOption) -> None:
    """Fetch the published keys and status lists into a directory; needs no token."""
    connection = hub_for_a_stranger()
    keys = connection.download(KEYS_PATH)
    today = datetime.now(UTC).date()
    found = {"keys.json": keys}
    for day in (today, today - timedelta(days=1)):
        found[f"status-{day}.jwt"] = connection.download(f"{STATUS_PATH}/{day}")
    try:
        to.mkdir(parents=True, exist_ok=True)
        for name, content in found.items():
            (to / name).write_bytes(content)
    except OSError as error:
        raise UnavailableError(f"{to} cannot be written ({error.strerror}).") from error
    show({"files": [str(to / name) for name in found]}, as_json=as_json)


@passport.command("verify")
@told
def verify(
    file: Annotated[Path, typer.Argument(help="The passport.")],
    keys: Annotated[Path, typer.Option(help="The hub's published keys.")],
    status: Annotated[list[Path], typer.Option(help="A signed status list; repeat.")],
    audience: Annotated[str | None, typer.Option(help="Your party's handle.")] = None,
    target: Annotated[str | None, typer.Option(help="What was scanned.")] = None,
    source: Annotated[str | None, typer.Option(help="The address it came from.")] = None,
    technique: Annotated[Technique | None, typer.Option(help="How it was scanned.")] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Verify a passport from files alone, without a network. Exit 1 when it does not hold."""
    trusted = scan_passport.read_keys(_read(keys))
    shown = scan_passport.read_passport(_text(file), trusted)
    lists = [scan_passport.read_status(_text(each), trusted) for each in status]
    fitting = [each for each in lists if each.uri == shown.reference.uri]
    newest = max(fitting, key=lambda each: each.issued_at, default=None)
    probe = Probe(
        audience=audience,
        target=None if target is None else parse_target(target),
        source=None if source is None else source_of(source),
        technique=technique,
    )
    against = faults(shown, newest, probe, datetime.now(UTC))
    if against:
        raise ConflictError(
            "The passport does not hold.",
            next_step="Treat the scan as not authorised; ask the hub with `clearhold scan live check`.",
            facts={"because": list(against)},
        )
    terms = shown.scan
    answer = {
        "valid": True,
        "id": shown.jti,
        "issuer": shown.iss,
        "audience": shown.aud,
        "holder": shown.sub,
        "not_before": scan_passport.instant(shown.nbf).isoformat(),
        "expires": scan_passport.instant(shown.exp).isoformat(),
        "revocations_as_of": newest.issued_at.isoformat() if newest else None,
        "targets": list(terms.targets),
        "technique": terms.technique,
        "depth": terms.depth,
        "sources": list(terms.sources),
        "requests_per_second": terms.requests_per_second,
        "contact": terms.contact,
    }
    show(answer, as_json=as_json)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError as error:
        raise UnavailableError(f"{file} cannot be read ({error.strerror}).") from error
    if len(content) > _LARGEST:
        raise InvalidError(f"{file} is too long.")
    return content


def _text(file: Path) -> str:
    try:
        return _read(file).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise InvalidError(f"{file} holds no token.") from error
