"""Submissions that a validation must not confirm, made by chance from a seed, and true ones beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from benchmarks.false_validations import hostile
from benchmarks.root_cause import crashes, target
from benchmarks.shipped_proofs import FEW
from clearhold.validation.oracles import oracle
from clearhold.validation.recipe import Recipe, Side, load
from clearhold.validation.reproduce import MAXIMUM_PROOF_BYTES
from clearhold.validation.verdict import Claim, Verdict, VerdictKind

_OTHER_CLAIM: Final = {
    "crash": "hang",
    "hang": "crash",
    "wrong-result": "crash",
    "leak": "crash",
    "injection": "crash",
}
_TEXTS: Final = (
    hostile.FORGED.encode(),
    b"; clearhold-canary",
    b"$(kill -SEGV $$)",
    b"import os; os._exit(77)",
    b"",
    b"\0" * 64,
    b"A" * 100_000,
    b"\xff\xfe\xc3\x28" * 40,
    b"[" * 1_000_000,
    b"A" * MAXIMUM_PROOF_BYTES,
)
_FOR_CANARIES: Final = (
    b"clearhold-canary",
    b"x; clearhold-canary #",
    b"../outside/clearhold-canary",
    b"clearhold_canary()",
    b"http://127.0.0.1:8077/clearhold-canary",
    b"../outside/secret",
    b"x' UNION SELECT secret FROM vault --",
    b"{{CLEARHOLD_A*CLEARHOLD_B}}",
)
_CANARIES: Final = (
    *("command", "eval", "file", "import", "path-escape", "request", "secret", "sql", "template"),
)


@dataclass(frozen=True, slots=True)
class Submission:
    """A proof for a target of a recipe, what is claimed of it, and what its trick is.

    `expected` are the kinds of verdict that tell it for what it is.
    """

    trick: str
    recipe: Recipe
    target: str
    proof: bytes
    expected: frozenset[VerdictKind]
    claim: Claim = field(default_factory=Claim)

    def told_by(self, verdict: Verdict) -> bool:
        """Whether a verdict tells it for what it is."""
        return verdict.kind in self.expected


_NOT: Final = frozenset({VerdictKind.NOT_REPRODUCED})
_FAULT: Final = frozenset({VerdictKind.HARNESS_FAULT})
_LIMIT: Final = frozenset({VerdictKind.RESOURCE_LIMIT})
_TRUE: Final = frozenset({VerdictKind.REPRODUCED})
_BOTH: Final = frozenset({VerdictKind.CRASHES_BOTH})


def releases() -> dict[str, bytes]:
    """The archives of our own target: all flaws, none, without those of odd number, and no program."""
    return {
        "gone": target.archive("int main(void) { return 127; }\n"),
        "old": target.archive(target.source()),
        "new": target.archive(target.source(fixed=target.FLAWS)),
        "half": target.archive(target.source(fixed=target.FLAWS[::2])),
    }


def true_ones(rng: Random) -> Iterator[Submission]:
    """One crash for each flaw of our own target; each must be confirmed."""
    made = releases()
    recipe = target.recipe(made["old"], made["new"], crashes.benign())
    for flaw in target.FLAWS:
        yield Submission("a true proof", recipe, "read", crashes.crash(rng, flaw), _TRUE)


def on_own_target(rng: Random, *, each: int) -> Iterator[Submission]:
    """Tricks on our own target, `each` of every kind that chance can vary."""
    made = releases()
    recipe = target.recipe(made["old"], made["new"], crashes.benign())
    half = target.recipe(made["old"], made["half"], crashes.benign())
    clean = target.recipe(made["new"], made["new"], crashes.benign())
    gone = target.recipe(made["old"], made["gone"], crashes.benign())
    flaws = [rng.choice(target.FLAWS) for _ in range(each)]
    even = [rng.choice(target.FLAWS[1::2]) for _ in range(each)]
    for flaw, unfixed in zip(flaws, even, strict=True):
        proof = crashes.crash(rng, flaw)
        yield Submission(
            "reported for the fixed version",
            recipe,
            "read",
            proof,
            frozenset({VerdictKind.ALREADY_FIXED}),
            Claim("crash", "2"),
        )
        yield Submission(
            "crashes both versions",
            half,
            "read",
            crashes.crash(rng, unfixed),
            _BOTH,
        )
        yield Submission("fixed by taking the program away", gone, "read", proof, _FAULT)
        claim = rng.choice(
            (Claim("hang"), Claim("wrong-result"), Claim("crash", frames=("elsewhere", "nowhere")))
        )
        different = frozenset({VerdictKind.DIFFERENT_CRASH})
        yield Submission("claims something else", recipe, "read", proof, different, claim)
        yield Submission("on a version without the flaw", clean, "read", proof, _NOT)
        benign = rng.choice(list(crashes.benign().values()))
        yield Submission("a benign input", recipe, "read", benign, _NOT, Claim("crash"))
        noise = rng.choice((b"", b"ORC2", b"XXXX")) + rng.randbytes(rng.randint(0, 200))
        strange = frozenset({*_NOT, *_LIMIT, *_FAULT})
        yield Submission("noise of another form", recipe, "read", noise, strange)


def with_lying_drivers(rng: Random, *, each: int) -> Iterator[Submission]:
    """Drivers that lie in every way of `hostile`, `each` time with another proof."""
    made = releases()
    recipe = target.recipe(made["old"], made["new"], crashes.benign())
    crash = crashes.crash(rng, 1)
    told = frozenset({*_FAULT, *_NOT, *_LIMIT})
    lies = [(lie, script, told) for lie, script in hostile.LIES.items()]
    lies += [(how, script, frozenset({*_NOT, *_BOTH})) for how, script in hostile.SOMETIMES.items()]
    lies += [("sends itself SIGSEGV", "kill -SEGV $$", _BOTH)]
    for lie, script, expected in lies:
        driver = hostile.lying(recipe, script, crash)
        for _ in range(each):
            proof = crashes.benign()["all"] + hostile.TRIGGER + rng.randbytes(rng.randint(0, 40))
            yield Submission(lie, driver, "read", proof, expected, Claim("crash"))
    for lie, script in (("takes all memory", hostile.GREEDY), ("never ends", hostile.ENDLESS)):
        driver = hostile.lying(recipe, script, crash)
        yield Submission(lie, driver, "read", hostile.TRIGGER, _LIMIT, Claim("crash"))
    for program, expected in (("leak", _FAULT), ("assertion", _FAULT), ("exhaustion", _NOT)):
        driver = hostile.faulty(recipe, program)
        for _ in range(each):
            depth = rng.randint(27_000, 40_000) if program == "exhaustion" else rng.randint(1, 99)
            proof = hostile.TRIGGER + f" {depth}".encode()
            yield Submission(f"a driver's own {program}", driver, "read", proof, expected)
    for attack in hostile.WATCHER_ATTACKS:
        for name in ("command", "secret"):
            watched = hostile.attacking(recipe, name, attack)
            yield Submission(attack, watched, "read", hostile.TRIGGER, told)
    for name in _CANARIES:
        watched = hostile.careful(recipe, name)
        for proof in _FOR_CANARIES:
            yield Submission(f"names a canary ({name})", watched, "read", proof, _NOT)


def on_shipped_recipes() -> Iterator[Submission]:
    """Tricks on the known proofs of shipped recipes."""
    for name, place, proof in FEW:
        recipe = load(name)
        seen = oracle(recipe.target(place).oracle).claim
        strange = frozenset({*_NOT, *_LIMIT, *_BOTH})
        for text in _TEXTS:
            yield Submission(f"text for {name}", recipe, place, text, strange, Claim(seen))
        yield Submission(f"benign for {name}", recipe, place, recipe.control(place), _NOT)
        different = frozenset({VerdictKind.DIFFERENT_CRASH})
        other = Claim(_OTHER_CLAIM[seen])
        yield Submission(f"another claim for {name}", recipe, place, proof, different, other)
        fixed = recipe.side(Side.FIXED)
        done = frozenset({VerdictKind.ALREADY_FIXED})
        late = Claim(seen, fixed.version)
        yield Submission(f"the fixed version of {name}", recipe, place, proof, done, late)
        both = replace(recipe, sides={**recipe.sides, Side.VULNERABLE: fixed})
        yield Submission(f"{name} where it is fixed", both, place, proof, _NOT, Claim(seen))
