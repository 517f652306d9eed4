"""People who enter a hub with a passkey in software."""

from __future__ import annotations

from dataclasses import dataclass

from clearhold.access.browser_sessions import SignedIn
from clearhold.access.members import Member
from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from soft_authenticator import SoftAuthenticator


@dataclass
class Person:
    """Somebody who entered with a passkey."""

    hub: Hub
    member: Member
    passkey: SoftAuthenticator
    cookie: str

    @property
    def signed(self) -> SignedIn:
        with self.hub.sessions.transaction() as unit:
            return self.hub.browsers.authenticate(unit, self.cookie)

    @property
    def actor(self) -> Actor:
        actor = self.signed.actor
        assert actor is not None
        return actor

    def sign_in(self) -> str:
        asked = self.hub.passkeys.begin_sign_in()
        answer = self.passkey.get(asked.options)
        self.cookie = self.hub.passkeys.sign_in(asked.cookie, answer, agent="test").cookie
        return self.cookie

    def confirm(self) -> str:
        asked = self.hub.passkeys.begin_confirm(self.signed)
        answer = self.passkey.get(asked.options)
        self.cookie = self.hub.passkeys.confirm(self.signed, asked.cookie, answer).cookie
        return self.cookie


def enter(hub: Hub, member: Member, secret: str) -> Person:
    passkey = SoftAuthenticator(origin=hub.settings.public_url)
    asked = hub.passkeys.begin_enrol(secret)
    answer = passkey.create(asked.options)
    opened = hub.passkeys.enrol(asked.cookie, answer, name="First", agent="test")
    return Person(hub, member, passkey, opened.cookie)
