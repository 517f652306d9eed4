"""Signing in through a party's own provider (OpenID Connect Core 1.0, code flow with PKCE).

A provider says who somebody is by its issuer and a subject; a person has linked that pair to
themselves, in a confirmed session. Names and e-mail addresses are never looked at.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from clearhold.access import browser_sessions, opaque
from clearhold.access.browser_sessions import BrowserSessions, OpenSession, SignedIn
from clearhold.access.ceremonies import Ceremonies, Ceremony, Kind
from clearhold.access.tables import oidc_identity, oidc_provider
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    InvalidError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from clearhold.kernel.ids import IdentityId, PartyId, PersonId, ProviderId, new_id
from clearhold.ports.web import Web
from clearhold.store.unit_of_work import Sessions, UnitOfWork

RETURNED: Final = "/sign-in/returned"
_ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "EdDSA",
)
_KEYS: Final[Mapping[str, type[RSAKey | ECKey | OKPKey]]] = {
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}
_MOST_KEYS: Final = 50
_LEEWAY_S: Final = 60
_LONGEST: Final = 200
_SECRET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of one party; `enforced` when a passkey alone does not open that party."""

    id: ProviderId
    party: PartyId
    name: str
    issuer: str
    client: str
    secret_name: str | None
    enforced: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """What a provider calls a person who linked it."""

    id: IdentityId
    issuer: str
    subject: str
    made_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Sent:
    """Where the browser goes, and the cookie that binds its return to it."""

    address: str
    cookie: str


class OidcService:
    """Providers, and the way through them and back."""

    def __init__(
        self,
        sessions: Sessions,
        ceremonies: Ceremonies,
        browsers: BrowserSessions,
        web: Web,
        *,
        public_url: str,
        secrets: Path,
    ) -> None:
        self._sessions = sessions
        self._ceremonies = ceremonies
        self._browsers = browsers
        self._web = web
        self._return_to = public_url.rstrip("/") + RETURNED
        self._secrets = secrets

    def check(self, issuer: str, client: str, secret_name: str | None) -> None:
        """Ask the provider for its own description, and look the client's secret up.

        Raises `InvalidError` for what can be none, `UnavailableError` when it does not answer.
        """
        if not client or len(client) > _LONGEST or not client.isprintable():
            raise InvalidError("The client id is what the provider gave the hub.")
        self._secret(secret_name)
        self._described(issuer)

    def configure(
        self,
        unit: UnitOfWork,
        party: PartyId,
        *,
        name: str,
        issuer: str,
        client: str,
        secret_name: str | None,
        enforced: bool,
        by: str,
    ) -> Provider:
        """Note a provider of a party, in place of one with the same issuer."""
        if not name.strip() or len(name) > _LONGEST or not name.isprintable():
            raise InvalidError(f"A provider's name is one line of 1 to {_LONGEST} characters.")
        for old in self.of_party(unit, party):
            if old.issuer == issuer:
                self.remove(unit, old, by=by)
        identity = ProviderId(new_id(unit.now))
        unit.connection.execute(
            insert(oidc_provider).values(
                id=identity,
                party=party,
                name=name,
                issuer=issuer,
                client=client,
                secret_name=secret_name,
                enforced=enforced,
                made_by=by,
                made_at=unit.now,
            )
        )
        if enforced:
            browser_sessions.end_without_provider(unit, party, by=by)
        detail = {"party": party, "enforced": "yes" if enforced else "no"}
        unit.record("access:provider:add", actor=by, subject=identity, detail=detail)
        return Provider(identity, party, name, issuer, client, secret_name, enforced)

    def remove(self, unit: UnitOfWork, provider: Provider, *, by: str) -> None:
        """End a provider and the sessions it vouched for; what people linked stays theirs."""
        unit.connection.execute(
            update(oidc_provider)
            .where(oidc_provider.c.id == provider.id)
            .values(removed_at=unit.now)
        )
        browser_sessions.end_of_provider(unit, provider.id, by=by)
        unit.record("access:provider:remove", actor=by, subject=provider.id)

    def of_party(self, unit: UnitOfWork, party: PartyId) -> tuple[Provider, ...]:
        """The providers of a party, whoever asks: for services."""
        return _providers(unit, oidc_provider.c.party == party)

    def named(self, identity: ProviderId) -> Provider:
        """The provider whose id somebody was given. Raises `NotFoundError`."""
        with self._sessions.transaction() as unit:
            return _one(unit, identity)

    def begin(self, provider: ProviderId, signed: SignedIn | None = None) -> Sent:
        """Send a browser to a provider: to sign in, or to link who is signed in already.

        Raises `NotFoundError`, `StepUpError` in a session not confirmed lately, and
        `UnavailableError` when the provider does not answer.
        """
        if signed is not None:
            signed.need_confirmed()
        found = self.named(provider)
        described = self._described(found.issuer)
        with self._sessions.transaction() as unit:
            kind = Kind.PROVIDER if signed is None else Kind.LINK
            session = None if signed is None else signed.session
            begun = self._ceremonies.begin(unit, kind, session=session, provider=provider)
        verifier = self._derived(begun, "verifier")
        query = urlencode(
            {
                "response_type": "code",
                "scope": "openid",
                "client_id": found.client,
                "redirect_uri": self._return_to,
                "state": f"{kind}.{self._derived(begun, 'state')}",
                "nonce": self._derived(begun, "nonce"),
                "code_challenge": opaque.text_of(hashlib.sha256(verifier.encode()).digest()),
                "code_challenge_method": "S256",
            }
        )
        endpoint = described["authorization_endpoint"]
        joint = "&" if urlsplit(endpoint).query else "?"
        return Sent(f"{endpoint}{joint}{query}", begun.cookie)

    def sign_in(self, cookie: str, answer: Mapping[str, str], *, agent: str) -> OpenSession:
        """Open a session for whoever the provider says returned. Raises `UnauthenticatedError`."""
        begun = self._ceremonies.take(cookie, Kind.PROVIDER)
        provider, subject = self._returned(begun, Kind.PROVIDER, answer)
        with self._sessions.transaction() as unit:
            row = unit.connection.execute(
                select(oidc_identity).where(_is(provider, subject))
            ).one_or_none()
            if row is None:
                raise UnauthenticatedError(
                    "Nobody here has linked this identity.",
                    next_step="Sign in with your passkey, then link it under your account.",
                )
            unit.connection.execute(
                update(oidc_identity)
                .where(oidc_identity.c.id == row.id)
                .values(last_used_at=unit.now)
            )
            return self._browsers.open(
                unit, PersonId(row.person), agent=agent, confirmed=False, provider=provider.id
            )

    def link(self, signed: SignedIn, cookie: str, answer: Mapping[str, str]) -> Identity:
        """Note that the person of this session, confirmed when it began, is who returned.

        Raises `UnauthenticatedError`, and `ConflictError` when somebody else linked it.
        """
        begun = self._ceremonies.take(cookie, Kind.LINK, session=signed.session)
        provider, subject = self._returned(begun, Kind.LINK, answer)
        with self._sessions.transaction() as unit:
            row = unit.connection.execute(
                select(oidc_identity).where(_is(provider, subject))
            ).one_or_none()
            if row is not None and row.person != signed.person:
                raise ConflictError("Another account has linked this identity.")
            if row is not None:
                return _identity(row)
            identity = IdentityId(new_id(unit.now))
            unit.connection.execute(
                insert(oidc_identity).values(
                    id=identity,
                    person=signed.person,
                    issuer=provider.issuer,
                    subject=subject,
                    made_at=unit.now,
                )
            )
            unit.record("access:identity:link", actor=signed.name, subject=identity)
            return Identity(identity, provider.issuer, subject, unit.now, None)

    def identities(self, person: PersonId) -> tuple[Identity, ...]:
        """What a person has linked, oldest first."""
        with self._sessions.transaction() as unit:
            rows = unit.connection.execute(
                select(oidc_identity)
                .where(oidc_identity.c.person == person)
                .order_by(oidc_identity.c.id)
            )
            return tuple(map(_identity, rows))

    def unlink(self, signed: SignedIn, identity: IdentityId) -> None:
        """Take a link away and end every other session. Raises `NotFoundError`, `StepUpError`."""
        signed.need_confirmed()
        with self._sessions.transaction() as unit:
            gone = unit.connection.execute(
                delete(oidc_identity).where(
                    oidc_identity.c.id == identity, oidc_identity.c.person == signed.person
                )
            )
            if not gone.rowcount:
                raise NotFoundError("You have linked no such identity.")
            unit.record("access:identity:remove", actor=signed.name, subject=identity)
            browser_sessions.end_of_person(unit, signed.person, by=signed.name, but=signed.session)

    def _returned(
        self, begun: Ceremony, kind: Kind, answer: Mapping[str, str]
    ) -> tuple[Provider, str]:
        """The provider a browser returned from, and what it calls the person."""
        if begun.provider is None:
            raise _refusal()
        state = f"{kind}.{self._derived(begun, 'state')}"
        if not hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
            raise _refusal()
        try:
            provider = self.named(begun.provider)
            # RFC 9207: a provider that names itself in the answer must be the one that was asked.
            if answer.get("iss", provider.issuer) != provider.issuer or not answer.get("code"):
                raise _refusal()
            token = self._redeem(provider, begun, answer["code"])
            return provider, self._subject(provider, begun, token)
        except (JoseError, NotFoundError) as error:
            raise _refusal() from error
        except ClearholdError as error:
            if isinstance(error, UnavailableError):
                raise
            raise _refusal() from error

    def _redeem(self, provider: Provider, begun: Ceremony, code: str) -> str:
        described = self._described(provider.issuer)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._return_to,
            "code_verifier": self._derived(begun, "verifier"),
        }
        secret = self._secret(provider.secret_name)
        methods = described.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        user = None
        if secret is None:
            form["client_id"] = provider.client
        elif "client_secret_basic" in methods:
            user = (provider.client, secret)
        else:
            form |= {"client_id": provider.client, "client_secret": secret}
        answer = self._web.post(described["token_endpoint"], form, user=user)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _refusal()
        return token

    def _subject(self, provider: Provider, begun: Ceremony, token: str) -> str:
        # Asked for at each sign-in, so that a key the provider took back opens nothing here.
        published = self._web.get(self._described(provider.issuer)["jwks_uri"]).get("keys")
        claims = _claims(token, published)
        with self._sessions.transaction() as unit:
            now = int(unit.now.timestamp())
        jwt.JWTClaimsRegistry(
            now=now,
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": provider.client},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": self._derived(begun, "nonce")},
        ).validate(claims)
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else provider.client) != provider.client:
            raise _refusal()
        subject = str(claims["sub"])
        if not 0 < len(subject) <= 255 or not subject.isprintable():
            raise _refusal()
        return subject

    def _described(self, issuer: str) -> Mapping[str, Any]:
        described = self._web.get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if described.get("issuer") != issuer:
            raise InvalidError(
                "The provider calls itself something else than its address.",
                next_step="Give the issuer exactly as its own description does.",
            )
        for name in _ENDPOINTS:
            address = described.get(name)
            if not isinstance(address, str) or urlsplit(address).scheme not in {"https", "http"}:
                raise UnavailableError("The provider's description of itself is not complete.")
        return described

    def _secret(self, name: str | None) -> str | None:
        if name is None:
            return None
        if not _SECRET_NAME.fullmatch(name):
            raise InvalidError("A secret is named with small letters, digits and hyphens.")
        path = self._secrets / name
        try:
            if path.is_symlink() or path.stat().st_mode & 0o077:
                raise UnavailableError(
                    "The client's secret can be read by others, or is a link.",
                    next_step=f"Make oidc/{name} in the key directory a file of mode 600.",
                )
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UnavailableError(
                "The client's secret is not on the hub.",
                next_step=f"Write it to oidc/{name} in the key directory, with mode 600.",
            ) from error

    def _derived(self, begun: Ceremony, purpose: str) -> str:
        return opaque.text_of(self._ceremonies.derived(begun.id, purpose))


def is_link(answer: Mapping[str, str]) -> bool:
    """Whether a browser says that it returns from linking; `OidcService.link` finds out."""
    return answer.get("state", "").startswith(f"{Kind.LINK}.")


def _claims(token: str, published: object) -> dict[str, Any]:
    """The claims of a token that one of the published public keys signed.

    The key's own kind decides which algorithms come into question, never the token: a token cannot
    choose to be unsigned, or to be checked with a public key as if that were a shared secret.
    """
    keys = published if isinstance(published, list) else []
    for document in keys[:_MOST_KEYS]:
        kind = _KEYS.get(str(document.get("kty"))) if isinstance(document, dict) else None
        if kind is None or document.get("use", "sig") != "sig":
            continue
        try:
            key = kind.import_key(document)
            return jwt.decode(
                token, key, algorithms=_ALGORITHMS, registry=JWSRegistry(algorithms=_ALGORITHMS)
            ).claims
        except (JoseError, ValueError, TypeError, LookupError):
            continue
    raise _refusal()


def _is(provider: Provider, subject: str) -> ColumnElement[bool]:
    return (oidc_identity.c.issuer == provider.issuer) & (oidc_identity.c.subject == subject)


def _providers(unit: UnitOfWork, wanted: ColumnElement[bool]) -> tuple[Provider, ...]:
    rows = unit.connection.execute(
        select(oidc_provider)
        .where(wanted, oidc_provider.c.removed_at.is_(None))
        .order_by(oidc_provider.c.id)
    )
    return tuple(
        Provider(
            ProviderId(row.id),
            PartyId(row.party),
            row.name,
            row.issuer,
            row.client,
            row.secret_name,
            row.enforced,
        )
        for row in rows
    )


def _one(unit: UnitOfWork, identity: ProviderId) -> Provider:
    found = _providers(unit, oidc_provider.c.id == identity)
    if not found:
        raise NotFoundError("There is no such provider.")
    return found[0]


def _identity(row: Row[Any]) -> Identity:
    return Identity(IdentityId(row.id), row.issuer, row.subject, row.made_at, row.last_used_at)


def _refusal() -> UnauthenticatedError:
    return UnauthenticatedError("The provider's answer was not accepted.", next_step="Begin again.")
