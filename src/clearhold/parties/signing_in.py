"""How the people of a party get in: their enrolments, their provider, and the tokens they hold."""

from __future__ import annotations

from dataclasses import dataclass

from clearhold.access import members
from clearhold.access.browser_sessions import SignedIn, memberships
from clearhold.access.enrolments import Enrolments, IssuedEnrolment, end_credentials
from clearhold.access.model import Actor
from clearhold.access.oidc import OidcService, Provider
from clearhold.access.permissions import MemberRole, PartyKind, Permission
from clearhold.access.tokens import KnownToken, Tokens
from clearhold.kernel.errors import ConflictError, NotFoundError
from clearhold.kernel.ids import PartyId, PersonId, PrincipalId, ProviderId, TokenId
from clearhold.parties import records
from clearhold.parties.model import Party
from clearhold.parties.service import MACHINE
from clearhold.store.unit_of_work import Sessions, UnitOfWork


@dataclass(frozen=True, slots=True)
class OpenMembership:
    """A party somebody may act for in their session."""

    principal: PrincipalId
    party: PartyId
    party_name: str
    roles: tuple[MemberRole, ...]


class PartySignIn:
    """Enrolling members, choosing a provider, listing and revoking tokens."""

    def __init__(
        self, sessions: Sessions, enrolments: Enrolments, tokens: Tokens, oidc: OidcService
    ) -> None:
        self._sessions = sessions
        self._enrolments = enrolments
        self._tokens = tokens
        self._oidc = oidc

    def memberships(self, signed: SignedIn) -> tuple[OpenMembership, ...]:
        """For which parties the person of a session may act in it."""
        with self._sessions.transaction() as unit:
            return tuple(
                OpenMembership(each.id, each.party, records.name_of(unit, each.party), each.roles)
                for each in memberships(unit, signed.person, signed.provider)
            )

    def enrol(self, actor: Actor, party: PartyId, member: PrincipalId) -> IssuedEnrolment:
        """Give a member of the actor's party an enrolment, until they have entered once.

        A coordinator gives the first person of a new party theirs. Raises `NotFoundError`, and
        `ConflictError` when the member is not, or no longer, the actor's to let in.
        """
        actor.need(Permission.PARTIES_MEMBERS)
        with self._sessions.transaction() as unit:
            known = _seen(unit, actor, party)
            records.hold(unit, party)
            found = members.person_of(unit, member)
            if found is None or found.party != party or found.person is None:
                raise NotFoundError("The party has no such member.")
            if known.kind is PartyKind.COORDINATOR:
                raise ConflictError(
                    "Coordinators are let in on the hub's own machine alone.",
                    next_step="Run clearhold admin found there, with --person.",
                )
            people = [each for each in members.of_party(unit, party) if each.person]
            first = Permission.PARTIES_WRITE in actor.permissions and len(people) == 1
            if actor.party != party and not first:
                raise ConflictError(
                    "The members of a party are its own to let in.",
                    next_step="Ask an admin of the party.",
                )
            if members.entered_before(unit, member):
                raise ConflictError(
                    "This member has entered before.",
                    next_step="Who lost all access asks the coordinators for recovery.",
                )
            return self._enrolments.issue(unit, member, found.person, by=actor.principal)

    def enrol_coordinator(self, handle: str, person: str) -> IssuedEnrolment:
        """An enrolment for a person of the coordinator, on the machine itself.

        Raises `NotFoundError`.
        """
        with self._sessions.transaction() as unit:
            member, who = _coordinator(unit, handle, person)
            return self._enrolments.issue(unit, member, who, by=MACHINE)

    def recover_coordinator(self, handle: str, person: str) -> None:
        """End every credential of a person of the coordinator, on the machine itself.

        Raises `NotFoundError`.
        """
        with self._sessions.transaction() as unit:
            member, who = _coordinator(unit, handle, person)
            unit.record("access:recovery:machine", actor=MACHINE, subject=member)
            end_credentials(unit, who, by=MACHINE)

    def add_provider(
        self,
        actor: Actor,
        party: PartyId,
        *,
        name: str,
        issuer: str,
        client: str,
        secret_name: str | None,
        enforced: bool,
    ) -> Provider:
        """Let a party's people sign in through its own OIDC provider, or demand it.

        Raises `NotFoundError`, `InvalidError`, and `UnavailableError` when it does not answer.
        """
        actor.need(Permission.PARTIES_WRITE)
        with self._sessions.transaction() as unit:
            _seen(unit, actor, party)
        self._oidc.check(issuer, client, secret_name)
        with self._sessions.transaction() as unit:
            records.hold(unit, party)
            return self._oidc.configure(
                unit,
                party,
                name=name,
                issuer=issuer,
                client=client,
                secret_name=secret_name,
                enforced=enforced,
                by=actor.principal,
            )

    def providers(self, actor: Actor, party: PartyId) -> tuple[Provider, ...]:
        """The providers of a party the actor may see."""
        actor.need(Permission.PARTIES_READ)
        with self._sessions.transaction() as unit:
            return self._oidc.of_party(unit, _seen(unit, actor, party).id)

    def remove_provider(self, actor: Actor, party: PartyId, provider: ProviderId) -> None:
        """End a provider of a party, and the sessions it vouched for. Raises `NotFoundError`."""
        actor.need(Permission.PARTIES_WRITE)
        with self._sessions.transaction() as unit:
            for each in self._oidc.of_party(unit, _seen(unit, actor, party).id):
                if each.id == provider:
                    self._oidc.remove(unit, each, by=actor.principal)
                    return
        raise NotFoundError("The party has no such provider.")

    def own_tokens(self, actor: Actor) -> tuple[KnownToken, ...]:
        """The actor's own tokens, newest first."""
        actor.need(Permission.ACCOUNT_READ)
        with self._sessions.transaction() as unit:
            return self._tokens.of_principal(unit, actor.principal)

    def party_tokens(self, actor: Actor, party: PartyId) -> tuple[KnownToken, ...]:
        """The tokens of everyone who acts for the actor's own party, for its admins."""
        actor.need(Permission.PARTIES_MEMBERS)
        with self._sessions.transaction() as unit:
            if _seen(unit, actor, party).id != actor.party:
                raise ConflictError(
                    "The tokens of a party are its own affair.",
                    next_step="Ask an admin of the party.",
                )
            return self._tokens.of_party(unit, party)

    def revoke_token(self, actor: Actor, identity: TokenId) -> None:
        """End a token: one's own, or as admin any of one's own party.

        Not as coordinator: whoever runs the hub has no say in which credentials a party uses.
        Revoking it again changes nothing. Raises `NotFoundError`.
        """
        with self._sessions.transaction() as unit:
            found = self._tokens.one(unit, identity)
            own = found is not None and found.owner == actor.principal
            if not own:
                actor.need(Permission.PARTIES_MEMBERS)
            else:
                actor.need(Permission.ACCOUNT_WRITE)
            if found is None or found.party != actor.party:
                raise NotFoundError("There is no such token.")
            self._tokens.revoke(unit, identity, by=actor.principal)


def _seen(unit: UnitOfWork, actor: Actor, party: PartyId) -> Party:
    found = records.listing(unit, actor, party)
    if not found:
        raise NotFoundError("There is no such party.")
    return found[0]


def _coordinator(unit: UnitOfWork, handle: str, person: str) -> tuple[PrincipalId, PersonId]:
    party = records.by_handle(unit, handle)
    if party is not None and party.kind is PartyKind.COORDINATOR:
        for each in members.of_party(unit, party.id):
            if each.name == person and each.person and each.ended_at is None:
                return each.id, each.person
    raise NotFoundError("The hub has no such coordinator.")
