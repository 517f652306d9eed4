"""What campaigns leave behind, sealed: the crashes each met, and the inputs its party keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from clearhold.discovery import records
from clearhold.discovery.corpus import packed, unpacked
from clearhold.discovery.engine import Crash, Plan, Standing
from clearhold.discovery.records import Campaign, StoredCorpus, StoredCrash
from clearhold.kernel.errors import IntegrityError
from clearhold.kernel.ids import PartyId
from clearhold.kernel.purl import Purl
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault

READER: Final = "service:discovery"
_MOST_LOOKED_AT: Final = 32
"""Earlier campaigns whose crashes a new one is compared with."""


class _Detail(msgspec.Struct, frozen=True):
    """What is sealed of a crash beside its input."""

    target: str
    standing: Standing
    verdict: str
    reason: str
    signature: tuple[str, ...]
    times: int
    known_since: str


@dataclass(frozen=True, slots=True)
class CampaignKeeping:
    """Stores and opens them."""

    vault: Vault

    def save(self, unit: UnitOfWork, known: Campaign, crashes: tuple[Crash, ...]) -> str | None:
        """Keep the crashes of a campaign; of those kept before, what is said of them anew.

        Returns the artefact of the first that was confirmed.
        """
        stored = records.crashes(unit, known.id)
        first = None
        for number, each in enumerate(crashes):
            detail = self._sealed(unit, known, number, each)
            if number < len(stored):
                artifact = stored[number].artifact
                records.change_crash(unit, known.id, number, sealed_detail=detail)
            else:
                artifact = self.vault.store(
                    unit,
                    known.compartment,
                    content=each.content,
                    media_type="application/octet-stream",
                )
                records.add_crash(unit, StoredCrash(known.id, number, artifact, detail))
            if first is None and each.standing is Standing.CONFIRMED:
                first = artifact
        return first

    def crashes(self, unit: UnitOfWork, known: Campaign, *, reader: str) -> tuple[Crash, ...]:
        """The crashes of a campaign, opened for `reader`."""
        stored = records.crashes(unit, known.id)
        if not stored and known.crash is not None:  # of a time when the first was the only one
            content = self.vault.fetch(unit, known.crash, reader=reader)
            return (Crash(content, "", Standing.CONFIRMED, "", ""),)
        return tuple(
            self._opened(unit, known, each, reader=reader, content=True) for each in stored
        )

    def signatures(
        self, unit: UnitOfWork, known: Campaign, package: str, target: str
    ) -> dict[tuple[str, ...], str]:
        """The signatures of the party's earlier crashes on a target, by who met each first."""
        mark = self._mark(known.party, package, target)
        seen: dict[tuple[str, ...], str] = {}
        for earlier in records.earlier_on(unit, known, mark, limit=_MOST_LOOKED_AT):
            for each in records.crashes(unit, earlier.id):
                met = self._opened(unit, earlier, each, reader=READER, content=False)
                if met.standing is Standing.CONFIRMED and met.signature:
                    seen[met.signature] = met.known_since or earlier.id
        return seen

    def corpus(
        self, unit: UnitOfWork, party: PartyId, plan: Plan, *, reader: str = READER
    ) -> dict[str, bytes]:
        """The inputs that a party keeps for a plan's target; none when they cannot be read."""
        mark = self._mark(party, plan.package, plan.target)
        stored = records.corpus(unit, party, mark)
        if stored is None:
            return {}
        piece = self.vault.unseal(
            unit,
            stored.compartment,
            place=_corpus_place(party, mark),
            sealed=stored.sealed_inputs,
            reader=reader,
        )
        try:
            return unpacked(piece)
        except (msgspec.DecodeError, ValueError) as problem:
            raise IntegrityError("The inputs kept for this target are damaged.") from problem

    def keep_corpus(
        self, unit: UnitOfWork, party: PartyId, plan: Plan, inputs: Mapping[str, bytes]
    ) -> None:
        """Keep inputs in place of those kept before."""
        mark = self._mark(party, plan.package, plan.target)
        stored = records.corpus(unit, party, mark)
        within = self.vault.open_compartment(unit) if stored is None else stored.compartment
        sealed = self.vault.seal(
            unit, within, place=_corpus_place(party, mark), content=packed(inputs)
        )
        new = StoredCorpus(within, sealed)
        records.keep_corpus(unit, party, mark, new, known=stored is not None)

    def mark(self, party: PartyId, plan: Plan) -> bytes:
        """What stands in an index for a party's target: nothing can be read back from it."""
        return self._mark(party, plan.package, plan.target)

    def _mark(self, party: PartyId, package: str, target: str) -> bytes:
        bare = Purl.parse(package).package
        return self.vault.matching_hash("discovery-target", f"{party}\n{bare}\n{target}")

    def _sealed(self, unit: UnitOfWork, known: Campaign, number: int, crash: Crash) -> bytes:
        detail = _Detail(
            crash.target,
            crash.standing,
            crash.verdict,
            crash.reason,
            crash.signature,
            crash.times,
            crash.known_since,
        )
        return self.vault.seal(
            unit,
            known.compartment,
            place=_crash_place(known, number),
            content=msgspec.json.encode(detail),
        )

    def _opened(
        self, unit: UnitOfWork, known: Campaign, stored: StoredCrash, *, reader: str, content: bool
    ) -> Crash:
        detail = msgspec.json.decode(
            self.vault.unseal(
                unit,
                known.compartment,
                place=_crash_place(known, stored.number),
                sealed=stored.sealed_detail,
                reader=reader,
            ),
            type=_Detail,
        )
        return Crash(
            self.vault.fetch(unit, stored.artifact, reader=reader) if content else b"",
            detail.target,
            detail.standing,
            detail.verdict,
            detail.reason,
            detail.signature,
            detail.times,
            detail.known_since,
        )


def _crash_place(known: Campaign, number: int) -> tuple[str, str, str]:
    return ("campaign_crash", "sealed_detail", f"{known.id}:{number}")


def _corpus_place(party: PartyId, mark: bytes) -> tuple[str, str, str]:
    return ("campaign_corpus", "sealed_inputs", f"{party}:{mark.hex()}")
