"""Signing in through a real OIDC server, whose pages are filled in as a browser would."""

from __future__ import annotations

import hmac
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from signing_in_people import Person, enter
from sqlalchemy import Engine

from clearhold.access.model import Actor
from clearhold.access.oidc import Provider, _claims
from clearhold.access.permissions import MemberRole, PartyKind
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.web_guarded import GuardedWeb
from clearhold.assembly.hub import Hub, assemble
from clearhold.delivery.http.app import make_app
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    InvalidError,
    NotFoundError,
    StepUpError,
    UnauthenticatedError,
    UnavailableError,
)
from clearhold.settings import Settings
from in_process_http import client_of
from soft_authenticator import b64

HERE = Path(__file__).parent
PUBLIC = "http://localhost:4409"
RETURN = f"{PUBLIC}/sign-in/returned"


@dataclass
class Server:
    issuer: str
    process: subprocess.Popen[str]

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = tmp_path_factory.mktemp("canaille")
    with (where / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "canaille_server.py"), str(port), RETURN],
            cwd=where,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", (where / "log").read_text()
        yield Server(f"http://127.0.0.1:{port}", process)
        process.terminate()
        process.communicate()


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What a provider answers is the same on either database: one is enough."""
    return f"sqlite:///{tmp_path}/data/clearhold.db"


@pytest.fixture
def clock() -> SystemClock:
    """The server lives in real time."""
    return SystemClock()


@pytest.fixture
def hub(tmp_path: Path, database: Engine, clock: SystemClock) -> Hub:
    settings = Settings(
        data_directory=tmp_path / "data",
        key_directory=tmp_path / "keys",
        cache_directory=tmp_path / "cache",
        public_url=PUBLIC,
        oidc_networks=(ip_network("127.0.0.0/8"),),
    )
    settings.oidc_secrets.mkdir(parents=True)
    secret = settings.oidc_secrets / "lab"
    secret.write_text("the client's own secret\n")
    secret.chmod(0o600)
    engine = MemoryEngine(clock)  # type: ignore[arg-type]
    return assemble(settings, database=database, clock=clock, engine=engine)


@pytest.fixture
def provider(
    hub: Hub, lab: Person, server: Server, coordinator: Callable[[str], Actor]
) -> Provider:
    return added(hub, lab, server, coordinator("Ada"))


def added(hub: Hub, lab: Person, server: Server, ada: Actor, **options: Any) -> Provider:
    given = {
        "name": "The lab's own",
        "issuer": server.issuer,
        "client": "clearhold",
        "secret_name": "lab",
        "enforced": False,
    } | options
    return hub.party_sign_in.add_provider(ada, lab.member.party, **given)


def walk(address: str, user: str = "lin", password: str = "") -> dict[str, str]:
    """Go through the server's own pages as `user`; what it sends the browser back with."""
    with httpx.Client(trust_env=False) as browser:
        answer = browser.get(address)
        for _ in range(12):
            while answer.is_redirect:
                onward = urljoin(str(answer.url), answer.headers["location"])
                if onward.startswith(RETURN):
                    return dict(parse_qsl(urlsplit(onward).query))
                answer = browser.get(onward)
            fields = dict(re.findall(r'name="(csrf_token)"[^>]*value="([^"]+)"', answer.text))
            fields |= (
                {"password": password or f"the password of {user}"}
                if 'name="password"' in answer.text
                else {"login": user}
            )
            answer = browser.post(str(answer.url), data=fields)
        raise AssertionError(answer.text[:2000])


def link(hub: Hub, lab: Person, provider: Provider, user: str = "lin") -> None:
    sent = hub.oidc.begin(provider.id, lab.signed)
    hub.oidc.link(lab.signed, sent.cookie, walk(sent.address, user))


def test_a_linked_person_signs_in_through_their_provider_and_is_not_confirmed_by_it(
    hub: Hub, lab: Person, provider: Provider
) -> None:
    link(hub, lab, provider)
    sent = hub.oidc.begin(provider.id)
    opened = hub.oidc.sign_in(sent.cookie, walk(sent.address), agent="test")
    lab.cookie = opened.cookie
    assert lab.actor.principal == lab.member.id
    with pytest.raises(StepUpError):
        hub.findings.list(lab.actor)
    lab.confirm()
    hub.findings.list(lab.actor)


def test_the_whole_way_over_http_ends_signed_in(hub: Hub, lab: Person, provider: Provider) -> None:
    link(hub, lab, provider)
    client = client_of(make_app(hub), {"Sec-Fetch-Site": "same-origin"})
    sent = client.post("/sign-in/provider", json={"provider": provider.id})
    cookie = sent.headers["set-cookie"].split(";")[0]
    answer = walk(sent.json()["address"])
    back = client.get(
        "/sign-in/returned",
        params=answer,
        headers={"Cookie": cookie, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    )
    assert (back.status_code, back.headers["location"]) == (303, "/account")
    session = re.search(r"(clearhold-session=[^;]+)", back.headers["set-cookie"])
    assert session
    shown = client.get("/account", headers={"Cookie": session[1]})
    assert "Lab" in unescape(shown.text)


def test_linking_over_http_takes_the_session_that_began_it(
    hub: Hub, lab: Person, provider: Provider
) -> None:
    session = f"clearhold-session={lab.cookie}"
    client = client_of(make_app(hub), {"Sec-Fetch-Site": "same-origin"})
    sent = client.post(
        "/api/v1/account/identities",
        json={"provider": provider.id},
        headers={"Cookie": session, "X-Clearhold-Csrf": lab.signed.csrf},
    )
    ceremony = sent.headers["set-cookie"].split(";")[0]
    answer = walk(sent.json()["address"])
    arriving = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    alone = client.get("/sign-in/returned", params=answer, headers=arriving | {"Cookie": ceremony})
    assert alone.status_code == 401
    cookies = {"Cookie": f"{ceremony}; {session}"}
    back = client.get("/sign-in/returned", params=answer, headers=arriving | cookies)
    assert back.status_code == 303
    assert [each.subject for each in hub.oidc.identities(lab.signed.person)] == ["lin"]


def test_an_identity_nobody_linked_signs_nobody_in(
    hub: Hub, lab: Person, provider: Provider
) -> None:
    link(hub, lab, provider)
    sent = hub.oidc.begin(provider.id)
    with pytest.raises(UnauthenticatedError, match="linked"):
        hub.oidc.sign_in(sent.cookie, walk(sent.address, "mallory"), agent="")


@pytest.mark.parametrize(
    "attack",
    ["state", "no state", "code", "no code", "iss", "cookie", "nonce", "challenge", "error"],
)
def test_an_answer_that_was_tampered_with_is_refused(
    hub: Hub, lab: Person, provider: Provider, attack: str
) -> None:
    link(hub, lab, provider)
    sent = hub.oidc.begin(provider.id)
    address = sent.address
    if attack in {"nonce", "challenge"}:
        name = "nonce" if attack == "nonce" else "code_challenge"
        parts = urlsplit(address)
        query = dict(parse_qsl(parts.query)) | {name: "A" * 43}
        address = parts._replace(query=urlencode(query)).geturl()
    answer = walk(address)
    cookie = sent.cookie
    match attack:
        case "state":
            answer["state"] = answer["state"][:-1] + "-"
        case "no state":
            del answer["state"]
        case "code":
            answer["code"] += "x"
        case "no code":
            del answer["code"]
        case "iss":
            answer["iss"] = "http://127.0.0.1:1"
        case "cookie":
            cookie = hub.oidc.begin(provider.id).cookie
        case "error":
            answer = {"error": "access_denied", "state": answer["state"]}
    with pytest.raises(UnauthenticatedError):
        hub.oidc.sign_in(cookie, answer, agent="")


def test_a_code_that_was_used_or_belongs_to_another_browser_is_refused(
    hub: Hub, lab: Person, provider: Provider
) -> None:
    link(hub, lab, provider)
    first, second = hub.oidc.begin(provider.id), hub.oidc.begin(provider.id)
    stolen = walk(first.address)
    state = dict(parse_qsl(urlsplit(second.address).query))["state"]
    with pytest.raises(UnauthenticatedError):  # the code of one attempt in another
        hub.oidc.sign_in(second.cookie, stolen | {"state": state}, agent="")
    assert hub.oidc.sign_in(first.cookie, stolen, agent="").chosen  # its own browser still may
    third = hub.oidc.begin(provider.id)
    answer = walk(third.address)
    hub.oidc.sign_in(third.cookie, answer, agent="")
    with pytest.raises(UnauthenticatedError):
        hub.oidc.sign_in(third.cookie, answer, agent="")


def test_a_key_the_provider_took_back_is_not_believed_and_its_new_one_is(
    hub: Hub, lab: Person, provider: Provider, server: Server
) -> None:
    link(hub, lab, provider)
    server.tell("rotate")
    sent = hub.oidc.begin(provider.id)
    assert hub.oidc.sign_in(sent.cookie, walk(sent.address), agent="").chosen


def test_the_token_never_chooses_how_it_is_checked() -> None:
    key = RSAKey.generate_key(2048)
    public = key.as_dict(private=False)
    claims = {"sub": "lin"}
    registry = JWSRegistry(algorithms=["RS256", "ES256"])

    def signed(alg: str, by: Any) -> str:
        return jwt.encode({"alg": alg}, claims, by, algorithms=[alg], registry=registry)

    def part(value: object) -> str:
        return b64(json.dumps(value).encode())

    assert _claims(signed("RS256", key), [public]) == claims
    pem = key.as_pem(private=False)
    unsigned = f"{part({'alg': 'HS256'})}.{part(claims)}"
    confused = f"{unsigned}.{b64(hmac.digest(pem, unsigned.encode(), 'sha256'))}"
    shared = {"kty": "oct", "k": b64(pem)}
    attacks = [
        (confused, [public]),
        (confused, [shared, public]),
        (f"{part({'alg': 'none'})}.{part(claims)}.", [public]),
        (signed("RS256", RSAKey.generate_key(2048)), [public]),
        (signed("ES256", ECKey.generate_key("P-256")), [public]),
        (signed("RS256", key), [public | {"use": "enc"}]),
        (signed("RS256", key), []),
        (signed("RS256", key), None),
        (signed("RS256", key), ["x", {}, {"kty": "RSA"}, {"kty": []}]),
        ("", [public]),
        ("a.b.c", [public]),
    ]
    for token, keys in attacks:
        with pytest.raises(UnauthenticatedError):
            _claims(token, keys)


def test_linking_needs_a_confirmed_session_and_an_identity_belongs_to_one_person(
    hub: Hub, lab: Person, provider: Provider
) -> None:
    link(hub, lab, provider)
    made = hub.parties.add_member(lab.actor, lab.member.party, name="Mia", roles=lab.member.roles)
    mia = enter(hub, made, hub.party_sign_in.enrol(lab.actor, lab.member.party, made.id).secret)
    with pytest.raises(ConflictError):
        link(hub, mia, provider)
    sent = hub.oidc.begin(provider.id, mia.signed)
    answer = walk(sent.address, "mallory")
    with pytest.raises(UnauthenticatedError):  # somebody else's attempt
        hub.oidc.link(lab.signed, sent.cookie, answer)
    sent = hub.oidc.begin(provider.id)
    mia.cookie = ""
    lab.cookie = hub.oidc.sign_in(sent.cookie, walk(sent.address), agent="").cookie
    with pytest.raises(StepUpError):
        hub.oidc.begin(provider.id, lab.signed)


def test_a_party_s_provider_vouches_for_its_people_in_that_party_alone(
    hub: Hub, lab: Person, server: Server, coordinator: Callable[[str], Actor]
) -> None:
    ada = coordinator("Ada")
    other = hub.parties.register(ada, handle="other", name="Other", kind=PartyKind.VENDOR)
    foreign = added(hub, lab, server, ada)
    foreign = hub.party_sign_in.add_provider(
        ada,
        other.id,
        name="Another's",
        issuer=server.issuer,
        client="clearhold",
        secret_name="lab",
        enforced=False,
    )
    link(hub, lab, foreign)
    sent = hub.oidc.begin(foreign.id)
    with pytest.raises(UnauthenticatedError, match="no party"):
        hub.oidc.sign_in(sent.cookie, walk(sent.address), agent="")


def test_where_a_party_demands_its_provider_a_passkey_alone_opens_nothing(
    hub: Hub, lab: Person, server: Server, coordinator: Callable[[str], Actor]
) -> None:
    before = lab.cookie
    provider = added(hub, lab, server, coordinator("Ada"), enforced=True)
    with pytest.raises(UnauthenticatedError), hub.sessions.transaction() as unit:
        hub.browsers.authenticate(unit, before)
    lab.sign_in()
    signed = lab.signed
    assert signed.actor is None
    with pytest.raises(NotFoundError), hub.sessions.transaction() as unit:
        hub.browsers.choose(unit, signed, lab.member.id)
    link(hub, lab, provider)
    sent = hub.oidc.begin(provider.id)
    lab.cookie = hub.oidc.sign_in(sent.cookie, walk(sent.address), agent="").cookie
    assert lab.actor.principal == lab.member.id
    made = hub.parties.add_member(
        coordinated(hub, lab), lab.member.party, name="Mia", roles=[MemberRole.HANDLER]
    )
    issued = hub.party_sign_in.enrol(coordinated(hub, lab), lab.member.party, made.id)
    with pytest.raises(ConflictError):
        hub.enrolments.redeem_for_token(issued.secret, life=timedelta(days=1))
    assert enter(hub, made, issued.secret).signed.actor is None
    hub.party_sign_in.remove_provider(coordinator("Ada"), lab.member.party, provider.id)
    with pytest.raises(UnauthenticatedError):
        _ = lab.signed


def coordinated(hub: Hub, lab: Person) -> Actor:
    lab.confirm()
    return lab.actor


def test_unlinking_ends_what_the_link_opened(hub: Hub, lab: Person, provider: Provider) -> None:
    link(hub, lab, provider)
    sent = hub.oidc.begin(provider.id)
    theirs = hub.oidc.sign_in(sent.cookie, walk(sent.address), agent="").cookie
    (own,) = hub.oidc.identities(lab.signed.person)
    hub.oidc.unlink(lab.signed, own.id)
    with pytest.raises(UnauthenticatedError), hub.sessions.transaction() as unit:
        hub.browsers.authenticate(unit, theirs)
    with pytest.raises(NotFoundError):
        hub.oidc.unlink(lab.signed, own.id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://127.0.0.1:1"},
        {"issuer": "http://169.254.169.254"},
        {"secret_name": "../ring.json"},
        {"secret_name": "missing"},
        {"client": ""},
        {"name": ""},
    ],
)
def test_a_provider_that_cannot_be_one_is_not_noted(
    hub: Hub,
    lab: Person,
    server: Server,
    coordinator: Callable[[str], Actor],
    wrong: dict[str, str],
) -> None:
    with pytest.raises((InvalidError, UnavailableError)) as told:
        added(hub, lab, server, coordinator("Ada"), **wrong)
    assert told.value.next_step
    assert hub.party_sign_in.providers(lab.actor, lab.member.party) == ()


def test_a_secret_that_others_can_read_is_not_used(
    hub: Hub, lab: Person, server: Server, coordinator: Callable[[str], Actor]
) -> None:
    (hub.settings.oidc_secrets / "lab").chmod(0o644)
    with pytest.raises(UnavailableError, match="others"):
        added(hub, lab, server, coordinator("Ada"))


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[2002:0a00:0001::]/",
        "https://[64:ff9b::0a00:0001]/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://0.0.0.0/",
        "https://0x7f000001/",
        "https://2130706433/",
        "http://93.184.216.34/",
        "https://user@example.org/",
        "https://example.org:0/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "https://",
        "",
        "https://exa mple.org/",
        "https://example.org/#x",
        "https://[",
        "https://example.org/\r\nX: y",
        "https://" + "a" * 3000,
    ],
)
def test_no_address_leads_the_hub_into_its_own_network(address: str) -> None:
    with pytest.raises((InvalidError, UnavailableError)) as told:
        GuardedWeb().get(address)
    if re.search(r"127|\[|10\.|169|192|100\.|224", address):
        assert isinstance(told.value, InvalidError)


def test_a_server_that_redirects_floods_or_answers_nonsense_is_not_followed(
    server: Server,
) -> None:
    web = GuardedWeb((ip_network("127.0.0.0/8"),))
    assert web.get(f"{server.issuer}/.well-known/openid-configuration")["issuer"] == server.issuer
    for path in ("/", "/login", "/nowhere"):
        with pytest.raises(ClearholdError):
            web.get(f"{server.issuer}{path}")
