"""A lab and an evaluator that agree on testing a model, by the public API alone."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any, Final

from clearhold.delivery.cli import party_key
from clearhold.demo.cast import COORDINATOR, Cast
from clearhold.demo.house import House, Place
from clearhold.kernel.errors import UnavailableError
from clearhold.settings import PREFIX, Settings
from clearhold.wire import dsse, model_agreement
from clearhold.wire.model_agreement import Evaluator, ModelAgreement, Variant

LAB: Final = "aurora-lab"
TESTERS: Final = "institute"
CAST: Final = (
    (LAB, "Aurora AI Lab", "lab", None),
    (TESTERS, "Institute for Model Tests", "evaluator", None),
)
PEOPLE: Final = {COORDINATOR[0]: "Carla"}
VARIANT: Final = "release-candidate"
NAMED: Final = "Ada Example"
TOKENS: Final = 2_000_000
LOOPBACK: Final = "127.0.0.0/8"
_PATIENCE_S: Final = 600.0


class ModelPlace(Place):
    """Where this demo keeps things; its hub may ask an endpoint on this machine."""

    @property
    def settings(self) -> Settings:
        """The hub's settings."""
        return replace(super().settings, endpoint_networks=(ip_network(LOOPBACK),))

    @property
    def environment(self) -> dict[str, str]:
        """Those of commands."""
        return super().environment | {f"{PREFIX}ENDPOINT_NETWORKS": LOOPBACK}


@dataclass(frozen=True, slots=True)
class Access:
    """What an evaluator has: the engagement, its grant, and the token."""

    engagement: str
    grant: str
    token: str


class Scene:
    """The two sides, and what they do one after the other."""

    def __init__(self, place: Place, house: House) -> None:
        self.place = place
        self.house = house
        self.cast = Cast(place, house, CAST, PEOPLE)
        self.cast.register(place)

    def key(self, handle: str) -> Any:
        """A party's private key."""
        return party_key.load(self.place.root / "tokens" / f"{handle}.pem")

    def agree(self) -> dict[str, Any]:
        """The evaluator offers an agreement, the lab signs the same bytes."""
        statement = model_agreement.write(_terms(datetime.now(UTC)))

        def signed(handle: str) -> dict[str, str]:
            envelope = dsse.sign(statement, model_agreement.AGREEMENT_TYPE, self.key(handle))
            return {"envelope": envelope.decode()}

        offered = self.cast[TESTERS].post("/evaluations/agreements", signed(TESTERS))
        address = f"/evaluations/agreements/{offered['id']}/signature"
        agreed: dict[str, Any] = self.cast[LAB].post(address, signed(LAB))
        return agreed

    def engage(self, agreement: str, model: str) -> str:
        """The evaluator proposes a test, the lab accepts it and begins to give access."""
        wish = {
            "agreement": agreement,
            "model": model,
            "variants": [VARIANT],
            "purpose": "a demonstration",
            "days": 10,
            "release_at": None,
        }
        proposed = self.cast[TESTERS].post(
            "/evaluations/engagements", wish, key=secrets.token_hex(16)
        )
        for act in ("accept", "provision"):
            self.post(LAB, proposed["id"], "acts", act=act)
        return str(proposed["id"])

    def give(self, engagement: str, address: str, name: str, key: str) -> Access:
        """The lab registers its endpoint and grants access; the evaluator fetches the token."""
        self.post(
            LAB,
            engagement,
            "endpoint",
            address=address,
            dialect="openai",
            models={VARIANT: name},
            credential=key,
        )
        grant = self.post(
            LAB,
            engagement,
            "grants",
            evaluator=NAMED,
            variants=[VARIANT],
            kinds=["chat"],
            tokens=TOKENS,
        )
        told = self.post(TESTERS, engagement, f"grants/{grant['id']}/token")
        return Access(engagement, str(grant["id"]), str(told["token"]))

    def verify(self, engagement: str) -> dict[str, Any]:
        """The evaluator asks for the first canary round, and waits until the clock has begun."""
        self.post(TESTERS, engagement, "canary")
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            rounds = self.get(engagement, "/gateway")["rounds"]
            found = self.get(engagement)  # after the rounds: what one of them began is seen here
            if found["clock"]["began_at"] is not None:
                return found
            if rounds:
                raise UnavailableError(f"The canary round came to {rounds[-1]['outcome']}.")
            time.sleep(0.2)
        raise UnavailableError("The canary round has not ended.")

    def get(self, engagement: str, what: str = "", by: str = TESTERS) -> dict[str, Any]:
        """What a side is told of an engagement."""
        found: dict[str, Any] = self.cast[by].get(f"/evaluations/engagements/{engagement}{what}")
        return found

    def post(self, by: str, engagement: str, what: str, **body: Any) -> dict[str, Any]:
        """What a side does in an engagement."""
        address = f"/evaluations/engagements/{engagement}/{what}"
        done: dict[str, Any] = self.cast[by].post(address, body)
        return done


def _terms(now: datetime, variants: Sequence[str] = (VARIANT,)) -> ModelAgreement:
    return ModelAgreement(
        authority="Executive Order 14409, section 3",
        credits_outages=False,
        departments=(),
        destruction="Everything but the report is destroyed when the retention is over.",
        developer=LAB,
        draft_days=5,
        evaluator=TESTERS,
        evaluators=(
            Evaluator(
                attested=(),
                department="",
                kinds=("chat",),
                name=NAMED,
                tokens=TOKENS,
                variants=tuple(variants),
            ),
        ),
        findings="maintainer-first",
        handling="Kept on the evaluator's own machines.",
        nonce=secrets.token_hex(16),
        not_before=now,
        redaction="The developer may have trade secrets left out, each told.",
        reply_days=5,
        report_to="parties",
        retention_days=90,
        until=now + timedelta(days=180),
        variants=tuple(
            Variant(commitment="", name=each, safeguards="release") for each in variants
        ),
        voluntary=model_agreement.VOLUNTARY,
        window_days=20,
    )
