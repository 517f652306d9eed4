"""The watcher: runs a target inside the sandbox beside canaries and tells what became of them.

Delivered into the sandbox as a file and run there by the system's interpreter, so it uses the
standard library alone. It is the parent of the target and cannot be read or traced by it; before it
looks, everything else in the sandbox has been killed; its answer counts only when it came to its own
end. What it draws by lot anew for each run, a proof cannot know.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# The isolated interpreter leaves out the script's own directory, and with it what a target built.
sys.path.insert(0, "/oracle")

import sizes
import traps
from traps import AREA, INSIDE, Told

ANSWER = Path("/out/observed.json")
PROOF = "/in/proof"
HERE = "/oracle"
KEPT_BYTES = 4 << 20
PASSED_ON_BYTES = 256 << 10
PR_SET_DUMPABLE = 4
UNUSABLE = 65
PATIENCE_S = 5.0


def refuse_outside(hub: str) -> None:
    """End unless this is another namespace of processes than the hub's, named by its link."""
    if os.readlink("/proc/self/ns/pid") == hub:  # noqa: PTH115 (nothing but the basics here)
        sys.exit("the watcher runs in a sandbox only")


def alone() -> None:
    """Kill every other process of the sandbox but its first, and wait until they are gone."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        time.sleep(0.001)
    sys.exit("the watcher was not left alone")


class Ran:
    """One run of the target: how it ended, what it wrote and the processor time it took."""

    def __init__(self) -> None:
        self.status = 0
        self.cpu_s = 0.0
        self.stdout = b""
        self.stderr = b""
        self.said = b""


def drain(descriptor: int, into: list[bytes], most: int) -> threading.Thread:
    """Read a pipe to its end in a thread of its own, keeping no more than `most` bytes."""

    def read() -> None:
        kept = 0
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            while piece := pipe.read(1 << 16):
                if kept < most:
                    into.append(piece[: most - kept])
                    kept += len(piece)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def run(argv: Sequence[str], env: Mapping[str, str], *, token: str, cpu_s: float = 0.0) -> Ran:
    """Run a target to its end in `INSIDE`.

    Its interpreter gets `token` and a way to tell, on two descriptors that its environment names.
    With `cpu_s`, it may use so much processor time, in whole seconds.
    """
    done = Ran()
    give, given = os.pipe()
    tell, told = os.pipe()
    out, outer = os.pipe()
    err, errer = os.pipe()
    os.write(given, token.encode())
    os.close(given)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s), int(cpu_s) + 1))

    child = subprocess.Popen(
        list(argv),
        env={**env, "CLEARHOLD_WATCH": f"{give},{told}"},
        cwd=INSIDE,
        stdin=subprocess.DEVNULL,
        stdout=outer,
        stderr=errer,
        pass_fds=(give, told),
        preexec_fn=limit if cpu_s else None,  # noqa: PLW1509 (no other thread runs where it is set)
        start_new_session=True,
    )
    for descriptor in (give, told, outer, errer):
        os.close(descriptor)
    pieces: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])
    readers = [
        drain(descriptor, into, most)
        for descriptor, into, most in zip(
            (out, err, tell), pieces, (KEPT_BYTES, PASSED_ON_BYTES, 1 << 16), strict=True
        )
    ]
    _, done.status, used = os.wait4(child.pid, 0)
    child.returncode = 0  # reaped here, for its times
    done.cpu_s = used.ru_utime + used.ru_stime
    alone()
    for reader in readers:
        reader.join()
    done.stdout, done.stderr, done.said = (b"".join(each) for each in pieces)
    return done


def hosted(argv: Sequence[str], host: str) -> list[str]:
    """The argument vector with our own part of the interpreter's start, where there is one."""
    words = list(argv)
    if host == "node":
        return [words[0], "--require", f"{HERE}/node_host.cjs", *words[1:]]
    if host != "python":
        return words
    first = 1
    while first < len(words) and words[first].startswith("-") and words[first] != "-m":
        first += 1
    return [*words[:first], f"{HERE}/python_host.py", *words[first:]]


def messages(said: bytes, token: str) -> list[Told]:
    """What the interpreter's part told, as far as it knew the token."""
    told = []
    for line in said.decode("utf-8", "replace").splitlines()[:64]:
        known, _, rest = line.partition(" ")
        kind, _, detail = rest.partition(" ")
        if secrets.compare_digest(known.encode(), token.encode()):
            told.append((kind, detail[:200]))
    return told


def ended(status: int) -> dict[str, int | None]:
    """The exit code or the signal of a wait status."""
    code = os.waitstatus_to_exitcode(status)
    return {"exit": code if code >= 0 else None, "signal": -code if code < 0 else None}


def once(task: Mapping[str, str], argv: Sequence[str]) -> dict[str, object]:
    """Run the target once beside the traps of the oracle and look into them."""
    trap = traps.TRAPS[task["oracle"]]()
    token = secrets.token_hex(16)
    proof = trap.rewrite(Path(PROOF).read_bytes())
    place = AREA / "proof"
    place.write_bytes(proof)
    env = {**os.environ, **trap.set()}
    argv = [str(place) if word == PROOF else word for word in argv]
    ran = run(hosted(argv, task["host"]), env, token=token)
    shown = [ran.stdout, *left_behind()]
    told = messages(ran.said, token)
    seen = trap.look(told, shown)
    sys.stdout.buffer.write(ran.stdout[:PASSED_ON_BYTES])
    sys.stderr.buffer.write(ran.stderr)
    alive = any(kind == "ended" for kind, _ in told)
    return {"ended": ended(ran.status), "seen": seen, "sizes": [], "hosted": alive}


def left_behind() -> list[bytes]:
    """What the target wrote below /out, plain files of moderate size alone."""
    content = []
    for path in sorted(ANSWER.parent.rglob("*"))[:64]:
        facts = path.lstat()
        if stat.S_ISREG(facts.st_mode) and facts.st_size <= KEPT_BYTES:
            content.append(path.read_bytes())
    return content


def growing(task: Mapping[str, str], argv: Sequence[str]) -> dict[str, object]:
    """Run the target on the proof at growing sizes and take the processor time of each.

    In doubt they are taken more than once. All may take the budget together, and more where a size
    would otherwise be cut off before it can be told from one that grows slowly. Of what grows so fast
    that fewer than `sizes.SIZES` come to an end below the one that is cut off, smaller ones are
    measured too.
    """
    budget = float(task["budget_s"])
    try:
        generator = traps.Generator.read(Path(PROOF).read_bytes())
    except ValueError as problem:
        sys.stderr.write(f"unusable proof: {problem}\n")
        return {
            "ended": {"exit": UNUSABLE, "signal": None},
            "seen": [],
            "sizes": [],
            "hosted": False,
        }
    measured: list[sizes.Measured] = []
    last = Ran()
    plan = generator.sizes()
    while (size := sizes.following(plan, measured, budget)) is not None:
        place = AREA / f"proof-{size}"
        place.write_bytes(generator.make(size))
        words = [str(place) if word == PROOF else word for word in argv]
        most = math.ceil(sizes.allowed(budget, size, measured))
        for _ in range(sizes.times_at_once(size)):
            last = run(words, os.environ, token="", cpu_s=most)
            over = cut_off(last, most)
            measured.append((size, last.cpu_s, over))
            if last.status:
                break
        if last.status and not over:
            break
    sys.stdout.buffer.write(last.stdout[:PASSED_ON_BYTES])
    sys.stderr.buffer.write(last.stderr)
    cut = any(over for _, _, over in measured)
    failed = bool(last.status) and not measured[-1][2]
    return {
        "ended": ended(last.status) if failed or not cut else {"exit": 0, "signal": None},
        "seen": [],
        "sizes": sizes.telling(measured),
        "hosted": False,
    }


def cut_off(ran: Ran, most: float) -> bool:
    """Whether its limit of processor time ended a run: a kill before that is something else."""
    ending = os.waitstatus_to_exitcode(ran.status)
    return ending == -signal.SIGXCPU or (ending == -signal.SIGKILL and ran.cpu_s >= most)


def answer(content: dict[str, object]) -> None:
    """Leave the answer, whatever the target left in its place."""
    ANSWER.parent.chmod(0o755)
    if ANSWER.is_dir() and not ANSWER.is_symlink():
        shutil.rmtree(ANSWER)
    ANSWER.unlink(missing_ok=True)
    ANSWER.write_text(json.dumps(content), encoding="ascii")


def main() -> None:
    """Watch one run, or one at each size, as the task says."""
    task = json.loads(Path(HERE, "task.json").read_text(encoding="ascii"))
    refuse_outside(task["hub"])
    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit("the watcher cannot close itself to the target")
    for place in (INSIDE, AREA / "outside", AREA / "bin", AREA / "modules", AREA / "answers"):
        place.mkdir(parents=True)
    watch: Callable[[Mapping[str, str], Sequence[str]], dict[str, object]] = (
        growing if task["oracle"] == "complexity" else once
    )
    content = watch(task, sys.argv[1:])
    answer(content)


if __name__ == "__main__":
    main()
