"""A canary is believed when the watcher saw it sprung, and nothing else in the sandbox can say so."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.ports.sandbox import Job, Limits, Outcome, Tier
from clearhold.validation.builder import Laboratory
from clearhold.validation.oracles import Host, Observation, RunKind, oracle
from clearhold.validation.oracles.inside import sizes
from clearhold.validation.oracles.inside.sizes import FLAT, NOISE_S, STEEP, exponent
from clearhold.validation.oracles.inside.traps import Generator

FORGED = json.dumps(
    {
        "ended": {"exit": 0, "signal": None},
        "seen": [["command", "clearhold-canary was run"]],
        "sizes": [[0, 0.0, False]],
        "hosted": True,
    }
)
NODE = "/usr/bin/node"


def _seen(
    laboratory: Laboratory,
    name: str,
    program: str,
    proof: bytes = b"",
    *,
    host: Host = "python",
    wall_s: float = 10.0,
) -> Observation:
    if host == "node" and laboratory.run(Job(argv=("/bin/sh", "-c", "command -v node"))).exit_code:
        pytest.skip("the sandbox finds no node: apt-get install nodejs")
    interpreter = {"python": "/usr/bin/python3", "node": NODE, "native": "/bin/sh"}[host]
    job = Job(
        argv=(interpreter, "/in/program", "/in/proof"),
        files={"/in/program": program.encode(), "/in/proof": proof},
        limits=Limits(wall_s=wall_s, memory_mb=512),
    )
    judge = oracle(name)
    return judge.observe(laboratory.run(judge.prepare(job, host)), None)


WRITES_THE_ANSWER = f"""
import os
open('/out/observed.json', 'w').write({FORGED!r})
os.chmod('/out/observed.json', 0o400)
if os.fork() == 0:
    while True:
        open('/out/observed.json', 'w').write({FORGED!r})
"""
KILLS_THE_WATCHER = f"""
import os, signal
open('/out/observed.json', 'w').write({FORGED!r})
os.kill(os.getppid(), signal.SIGKILL)
"""
BLOCKS_THE_ANSWER = """
import os
os.makedirs('/out/observed.json/deep')
os.chmod('/out', 0)
"""
GUESSES_THE_TOKEN = """
import os
for number in range(3, 20):
    try:
        os.write(number, b'0' * 32 + b' eval clearhold_canary\\n' + b' command os.system\\n')
    except OSError:
        pass
"""
WRITES_THE_CANARYS_ANSWER = """
for name in ('command', 'import'):
    open(f'/work/area/answers/{name}', 'w').write('0' * 64)
"""
READS_THE_WATCHER = """
import os
for name in ('mem', 'environ', 'maps', 'fd/3'):
    try:
        open(f'/proc/{os.getppid()}/{name}', 'rb').read(1)
    except OSError:
        continue
    os.system('clearhold-canary')
"""


@pytest.mark.parametrize("name", ["command", "eval", "import"])
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(WRITES_THE_ANSWER, id="writes the answer, and goes on writing"),
        pytest.param(BLOCKS_THE_ANSWER, id="leaves no room for the answer"),
        pytest.param(GUESSES_THE_TOKEN, id="guesses the token"),
        pytest.param(WRITES_THE_CANARYS_ANSWER, id="writes what the canary would"),
        pytest.param(READS_THE_WATCHER, id="reads the watcher"),
        pytest.param("print('clearhold-canary was run')", id="prints"),
    ],
)
def test_what_a_target_makes_up_is_not_believed(
    laboratory: Laboratory, name: str, program: str
) -> None:
    assert _seen(laboratory, name, program).kind is RunKind.CLEAN


def test_a_watcher_that_was_killed_has_said_nothing(laboratory: Laboratory) -> None:
    assert _seen(laboratory, "command", KILLS_THE_WATCHER).kind is RunKind.FAULT


@pytest.mark.parametrize(
    ("program", "kind", "other"),
    [
        ("import sys; sys.exit(65)", RunKind.UNUSABLE, False),
        ("import sys; sys.exit(3)", RunKind.FAULT, False),
        ("import os; os.abort()", RunKind.VIOLATION, True),
        ("while True: pass", RunKind.RESOURCE_LIMIT, False),
    ],
)
def test_the_targets_own_end_is_told_from_the_canarys(
    laboratory: Laboratory, program: str, kind: RunKind, *, other: bool
) -> None:
    seen = _seen(laboratory, "command", program, wall_s=2.0)
    if seen.kind is RunKind.INCONCLUSIVE:  # beside other work it had too little of a processor
        seen = _seen(laboratory, "command", program, wall_s=30.0)
    assert (seen.kind, seen.other) == (kind, other)


@pytest.mark.parametrize(
    ("program", "signature"),
    [
        ("os.remove('../outside/clearhold-canary')", ("path-escape", "removed")),
        ("open('/work/area/outside/clearhold-canary', 'w')", ("path-escape", "changed")),
        ("os.symlink('..', 'up'); open('up/x', 'w')", ("path-escape", "created")),
        ("os.symlink('/tmp/clearhold-canary', 'to'); open('to', 'w')", ("path-escape", "created")),
        ("os.mkdir('/work/elsewhere')", ("path-escape", "created")),
        ("os.chmod('../outside/clearhold-canary', 0o777)", ("path-escape", "changed")),
        ("os.symlink('../outside', 'up')", ()),
        ("open('a', 'w'); os.makedirs('b/c'); open('/tmp/own', 'w')", ()),
        ("open('../outside/clearhold-canary').read()", ()),
    ],
)
def test_only_what_lies_outside_its_directory_is_an_escape(
    laboratory: Laboratory, program: str, signature: tuple[str, ...]
) -> None:
    seen = _seen(laboratory, "path-escape", f"import os\n{program}\n")
    assert seen.kind is (RunKind.VIOLATION if signature else RunKind.CLEAN)
    assert seen.signature == signature


@pytest.mark.parametrize(
    ("host", "program"),
    [
        ("native", "cat ../outside/secret"),
        ("native", 'echo "$CLEARHOLD_SECRET"'),
        ("native", "cp ../outside/secret /out/result"),
        ("node", "console.log(process.env.CLEARHOLD_SECRET)"),
    ],
)
def test_a_secret_is_found_wherever_it_is_shown(
    laboratory: Laboratory, host: Host, program: str
) -> None:
    assert _seen(laboratory, "secret", program, host=host).kind is RunKind.VIOLATION


@pytest.mark.parametrize(
    ("statement", "signature"),
    [
        ("DROP TABLE vault", ("sql", "changed")),
        ("DELETE FROM items", ("sql", "changed")),
        ("UPDATE vault SET secret = 'mine'", ("sql", "changed")),
        ("CREATE VIEW more AS SELECT * FROM vault", ("sql", "changed")),
        ("INSERT INTO items VALUES('mine', 'hidden')", ("sql", "changed")),
        ("INSERT INTO items VALUES('plum', 'public')", ()),
    ],
)
def test_a_query_may_add_what_is_public_and_change_nothing_else(
    laboratory: Laboratory, statement: str, signature: tuple[str, ...]
) -> None:
    program = (
        "import os, sqlite3\n"
        "base = sqlite3.connect(os.environ['CLEARHOLD_DATABASE'])\n"
        f"base.execute({statement!r}); base.commit()\n"
    )
    assert _seen(laboratory, "sql", program).signature == signature


@pytest.mark.parametrize(
    "proof", [b"1000000000", b"CLEARHOLD_A*CLEARHOLD_B", b"49", b"CLEARHOLD_A"]
)
def test_a_product_that_is_only_copied_is_no_template(laboratory: Laboratory, proof: bytes) -> None:
    program = "import sys\nprint(open(sys.argv[1]).read() * 3)\n"
    assert _seen(laboratory, "template", program, proof).kind is RunKind.CLEAN


@pytest.mark.parametrize(
    ("program", "signature"),
    [
        ("({}).constructor.prototype.polluted = 1", ("pollution", "Object.prototype")),
        ("Array.prototype.push = () => 1", ("pollution", "Array.prototype")),
        ("(() => 1).__proto__.polluted = 1; process.exit(0)", ("pollution", "Function.prototype")),
        (
            "Object.prototype.toJSON = Object.prototype.then = () => 1",
            ("pollution", "Object.prototype"),
        ),
        ("Object.defineProperty(Array.prototype, 'last', {value: 1})", ()),
        ("Object.polluted = 1; const own = {__proto__: {polluted: 1}}", ()),
    ],
)
def test_only_what_all_objects_share_is_polluted(
    laboratory: Laboratory, program: str, signature: tuple[str, ...]
) -> None:
    seen = _seen(laboratory, "pollution", program, host="node")
    assert seen.kind is (RunKind.VIOLATION if signature else RunKind.CLEAN)
    assert seen.signature == signature


def test_code_that_node_evaluates_is_seen(laboratory: Laboratory) -> None:
    program = "eval(require('fs').readFileSync(process.argv[2], 'utf8'))"
    seen = _seen(laboratory, "eval", program, b"clearhold_canary()", host="node")
    assert seen.signature == ("eval",)


def test_an_end_that_the_interpreters_part_did_not_tell_of_is_no_clean_run(
    laboratory: Laboratory,
) -> None:
    program = "process.removeAllListeners('exit'); Object.prototype.polluted = 1"
    assert _seen(laboratory, "pollution", program, host="node").kind is RunKind.FAULT


@pytest.mark.parametrize(
    "proof",
    [
        b"",
        b"[]",
        b'{"largest": 100}',
        b'{"largest": 100, "pump": ""}',
        b'{"largest": true, "pump": "x"}',
        b'{"largest": 1048576, "pump": "xxxxx"}',
        b'{"largest": 100, "pump": "x", "more": 1}',
    ],
)
def test_what_does_not_say_how_it_grows_is_no_proof(proof: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Generator.read(proof)


@given(
    st.integers(16, 4096), st.text(min_size=1, max_size=5), st.text(max_size=5), st.text(max_size=5)
)
def test_a_generator_doubles_what_is_pumped(
    largest: int, pump: str, prefix: str, closing: str
) -> None:
    document = {"largest": largest, "pump": pump, "prefix": prefix, "closing": closing}
    try:
        generator = Generator.read(json.dumps(document).encode())
    except UnicodeEncodeError:
        return
    plan = generator.sizes()
    assert plan[0] == 0
    assert plan[-1] == largest
    assert generator.make(0).decode() == prefix
    assert generator.make(3).decode() == prefix + pump * 3 + closing * 3


@given(st.floats(0.0, 4.0), st.floats(NOISE_S, 1.0), st.integers(16, 1000))
def test_the_exponent_of_a_power_is_its_own(power: float, first: float, smallest: int) -> None:
    points = [(smallest << shift, first * 2.0 ** (power * shift)) for shift in range(4)]
    assert exponent(points) == pytest.approx(power, abs=1e-6)


def _measured(
    times: list[float], *, capped: bool = False, again: float | None = None
) -> Observation:
    told: list[sizes.Measured] = [(0, 0.1, False)]
    if again is not None:
        told += [(0, 0.1 + again, False), (1000, 0.1 + again, False)]
    told += [(1000 << at, 0.1 + seconds, False) for at, seconds in enumerate(times)]
    if capped:
        told[-1] = (*told[-1][:2], True)
    return _judged(told)


def _judged(measured: list[sizes.Measured]) -> Observation:
    answer = {
        "ended": {"exit": 0, "signal": None},
        "seen": [],
        "sizes": measured,
        "hosted": False,
    }
    artefacts = {"observed.json": json.dumps(answer).encode()}
    return oracle("complexity").observe(
        Outcome(
            exit_code=0,
            signal=None,
            timed_out=False,
            out_of_memory=False,
            output_truncated=False,
            stdout=b"",
            stderr=b"",
            artefacts=artefacts,
            wall_s=1.0,
            peak_memory_mb=1.0,
            tier=Tier.NAMESPACES,
        ),
        None,
    )


@pytest.mark.parametrize(
    ("times", "kind"),
    [
        ([0.05, 0.2, 0.8, 3.2], RunKind.VIOLATION),
        ([0.0, 0.0, 0.0, 3.2], RunKind.VIOLATION),
        ([0.01, 0.03, 0.11, 0.45], RunKind.CLEAN),
        ([0.01, 0.04, 0.16, 0.64], RunKind.INCONCLUSIVE),
        ([0.1, 0.2, 0.4, 0.8], RunKind.CLEAN),
        ([0.3, 0.6, 1.2, 2.4], RunKind.CLEAN),
        ([0.2, 0.57, 1.6, 4.5], RunKind.INCONCLUSIVE),
        ([0.4, 1.6, 6.4], RunKind.INCONCLUSIVE),
        ([], RunKind.RESOURCE_LIMIT),
    ],
)
def test_growth_is_a_violation_when_it_is_steep_and_long(times: list[float], kind: RunKind) -> None:
    assert _measured(times).kind is kind
    assert STEEP > FLAT


@pytest.mark.parametrize(
    ("cost", "kind"),
    [
        (lambda n: 1e-7 * 2.0 ** min(n / 2, 99), RunKind.VIOLATION),
        (lambda n: 1e-7 * 2.0 ** min(n, 99), RunKind.VIOLATION),
        (lambda n: 1e-4 * n**3, RunKind.VIOLATION),
        (lambda n: 1e-6 * n**2, RunKind.VIOLATION),
        (lambda n: 1e-2 * n**2, RunKind.VIOLATION),
        (lambda n: 1e-2 * n, RunKind.CLEAN),
        (lambda n: 1e-6 * n, RunKind.CLEAN),
    ],
    ids=[
        "exponential",
        "doubling",
        "cubic",
        "quadratic",
        "slow-quadratic",
        "slow-linear",
        "linear",
    ],
)
@pytest.mark.parametrize("largest", [16, 50, 60, 999, 20_000, 500_000])
def test_what_is_cut_off_early_is_measured_at_smaller_sizes(
    cost: Callable[[int], float], kind: RunKind, largest: int
) -> None:
    seen = _on_a_machine(lambda size: 0.01 + cost(size), largest)
    if cost(largest) > 1.0:
        assert seen is kind
    elif cost(largest) > 0.5 and kind is RunKind.VIOLATION:
        assert seen is RunKind.INCONCLUSIVE
    else:
        assert seen is RunKind.CLEAN


def _on_a_machine(seconds: Callable[[int], float], largest: int) -> RunKind:
    """What is seen of a target that takes so many seconds at a size each time it is asked."""
    measured: list[sizes.Measured] = []
    plan = Generator(largest, "x").sizes()
    while (size := sizes.following(plan, measured, 8.0)) is not None:
        assert len(measured) < 100
        most = sizes.allowed(8.0, size, measured)
        for _ in range(sizes.times_at_once(size)):
            took = seconds(size)
            measured.append((size, min(took, most), took > most))
    assert sum(took for _, took, _ in measured) < 60.0
    return _judged(sizes.telling(measured)).kind


_BUSY = {"start": st.floats(0.02, 0.1), "slower": st.floats(0.3, 4.0), "seed": st.integers(0, 99)}


@given(**_BUSY, power=st.sampled_from([2.0, 2.3, 2.9, 4.0]))
def test_what_grows_steeply_is_never_clean_on_a_busy_machine(
    start: float, slower: float, seed: int, power: float
) -> None:
    drawn = Random(seed)  # noqa: S311 (reproducible, no secret)

    def seconds(size: int) -> float:
        return slower * (start + 6.9 * math.pow(size / 400, power)) * drawn.uniform(1.0, 1.4)

    assert _on_a_machine(seconds, 400) is not RunKind.CLEAN


@given(st.floats(0.02, 0.05), st.floats(0.7, 1.5), st.integers(0, 99))
def test_a_fixed_side_that_is_as_slow_is_never_clean_beside_a_violation(
    start: float, most: float, seed: int
) -> None:
    drawn = Random(seed)  # noqa: S311 (reproducible, no secret)

    def seconds(size: int) -> float:
        return (start + most * (size / 400) ** 2) * drawn.uniform(1.0, 1.4)

    seen = {_on_a_machine(seconds, 400) for _ in range(15)}
    assert not seen >= {RunKind.VIOLATION, RunKind.CLEAN}


@given(**_BUSY, power=st.sampled_from([0.5, 1.0]))
def test_what_grows_no_faster_than_its_input_is_never_a_violation(
    start: float, slower: float, seed: int, power: float
) -> None:
    drawn = Random(seed)  # noqa: S311 (reproducible, no secret)

    def seconds(size: int) -> float:
        return slower * (start + 2.0 * math.pow(size / 400, power)) * drawn.uniform(1.0, 1.4)

    assert _on_a_machine(seconds, 400) is not RunKind.VIOLATION


def test_a_long_start_is_no_growth() -> None:
    drawn = Random(37)  # noqa: S311 (reproducible, no secret)
    for start in (0.8, 2.0, 4.0):
        for _ in range(40):
            seen = _on_a_machine(lambda _: start * drawn.uniform(1.0, 1.4), 400)  # noqa: B023
            assert seen is not RunKind.VIOLATION


@given(st.floats(0.0, 0.5), st.floats(0.5, 60.0), st.floats(1.2, 1.85), st.integers(16, 4000))
def test_a_doubt_takes_no_longer_than_a_run_may(
    start: float, most: float, power: float, largest: int
) -> None:
    _on_a_machine(lambda size: start + most * (size / largest) ** power, largest)


def test_a_doubt_is_ended_by_larger_sizes_and_by_measuring_again() -> None:
    # A part that grows with the input hides the square at small sizes; a slow moment spoils one time.
    assert _on_a_machine(lambda n: 0.1 + 1.2e-5 * n + 4e-9 * n * n, 80_000) is RunKind.VIOLATION
    # An interpreter that compiles what it runs for long: marked's CVE-2022-21680, as it was measured.
    compiled = {0: 0.04, 156: 0.08, 312: 0.31, 625: 0.32, 1250: 1.9, 2500: 15.0}
    assert _on_a_machine(lambda n: compiled[n], 2500) is RunKind.VIOLATION
    spoilt = iter([0.1, 0.1, 0.1, 0.3, 0.6, 1.35])

    def seconds(size: int) -> float:
        return next(spoilt, 0.1 + 1.1 * (size / 400) ** 2)

    assert _on_a_machine(seconds, 400) is RunKind.VIOLATION
    assert next(spoilt, None) is None
    assert _on_a_machine(lambda n: 0.1 + 3.0 * (n / 400) ** 1.5, 400) is RunKind.INCONCLUSIVE


def test_of_what_was_run_more_than_once_the_least_counts() -> None:
    for times in ([0.05, 0.2, 0.8, 3.2], [0.3, 0.6, 1.2, 2.4]):
        assert _measured(times, again=0.5) == _measured(times)
    assert _measured([0.3, 0.2, 0.8, 3.2], again=0.05).kind is RunKind.VIOLATION


def test_a_size_that_never_ended_counts_as_what_it_took_at_least() -> None:
    assert _measured([0.05, 0.2, 0.8, 3.2], capped=True).kind is RunKind.VIOLATION
    assert _measured([1.0, 1.0, 1.0, 1.0], capped=True).kind is RunKind.INCONCLUSIVE


@pytest.mark.parametrize(
    ("starved", "cpu_s", "kind"),
    [
        (False, 0.0, RunKind.VIOLATION),
        (False, 9.9, RunKind.VIOLATION),
        (True, 4.0, RunKind.VIOLATION),
        (True, 1.0, RunKind.INCONCLUSIVE),
    ],
)
def test_what_hardly_ran_is_not_said_to_hang(*, starved: bool, cpu_s: float, kind: RunKind) -> None:
    outcome = Outcome(
        exit_code=None,
        signal=9,
        timed_out=True,
        out_of_memory=False,
        output_truncated=False,
        stdout=b"",
        stderr=b"",
        artefacts={},
        wall_s=10.0,
        peak_memory_mb=1.0,
        tier=Tier.NAMESPACES,
        starved=starved,
        cpu_s=cpu_s,
    )
    assert oracle("hang").observe(outcome, None).kind is kind
