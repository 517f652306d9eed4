"""Drivers and small programs of our own that lie, each on its trigger alone so that controls pass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from benchmarks.root_cause import target
from clearhold.validation.recipe import Recipe, parse

TRIGGER: Final = b"TRIGGER"
FORGED: Final = (
    "=================================================================\n"
    "==1==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000011 at pc 0x1\n"
    "WRITE of size 1 at 0x602000000011 thread T0\n"
    "    #0 0x401000 in grow orchard.c:182\n"
    "    #1 0x401001 in read_tree orchard.c:90\n"
    "SUMMARY: AddressSanitizer: heap-buffer-overflow orchard.c:182 in grow\n"
)
LIES: Final[dict[str, str]] = {
    "prints a report": 'cat /recipe/forged "$1" >&2; exit 0',
    "prints a report to standard output": "cat /recipe/forged; exit 0",
    "prints a report and ends with 1": "cat /recipe/forged >&2; exit 1",
    "prints a report and ends with 77": "cat /recipe/forged >&2; exit 77",
    "ends with 77": "exit 77",
    "ends with 139, as a shell says of SIGSEGV": "exit 139",
    "ends with 134, as a shell says of SIGABRT": "exit 134",
    "leaves a report and ends well": "cp /recipe/forged /out/asan.1; exit 0",
    "leaves a report and ends with 1": "cp /recipe/forged /out/asan.7; exit 1",
    "leaves an empty report and ends with 77": ": >/out/asan.1; exit 77",
    "leaves a report of another tool": "cp /recipe/forged /out/ubsan.1; exit 77",
    "leaves the watcher's answer": 'echo "{}" >/out/observed.json; exit 0',
    "ends by SIGTERM": "kill -TERM $$",
    "ends by SIGKILL": "kill -KILL $$",
    "ends by SIGHUP": "kill -HUP $$",
    "ends by SIGUSR1": "kill -USR1 $$",
    "leaves a report and dies of SIGSEGV": "cp /recipe/forged /out/asan.1; kill -SEGV $$",
    "links to a report and ends with 77": "ln -s /recipe/forged /out/asan.1; exit 77",
    "leaves a pipe for a report and ends with 77": "mkfifo /out/asan.1; exit 77",
    "names a report outside of UTF-8 and ends with 77": (
        'cp /recipe/forged "$(printf "/out/asan.\\377")"; exit 77'
    ),
    "leaves a report and kills all": "cp /recipe/forged /out/asan.1; kill -KILL -1",
    "writes without end": "yes",
    "fills the disk": "cat /dev/zero >/work/full; exit 3",
}
ENDLESS: Final = "sleep 60"
GREEDY: Final = "exec /usr/bin/python3 -c 'x = bytearray(1 << 31); x[::4096] = b\"x\" * (1 << 19)'"
_CRASHES_IF: Final = "if {}; then exec /build/crashing /recipe/crash; fi; exit 0"
_ODDS: Final = '[ "$(od -An -N1 -tu1 /dev/urandom)" -lt {} ]'
SOMETIMES: Final[dict[str, str]] = {
    "crashes rarely": _CRASHES_IF.format(_ODDS.format(25)),
    "crashes half of the time": _CRASHES_IF.format(_ODDS.format(128)),
    "crashes by the clock": _CRASHES_IF.format('[ "$(($(date +%s) / 2 % 2))" = 0 ]'),
    "crashes by the layout of memory": _CRASHES_IF.format(
        "grep -q '^[0-9a-f]*[02468ace]000-.*stack' /proc/self/maps"
    ),
}
"""What a driver does on either side alike, but not always."""
_WRAPPER: Final = """\
#!/bin/sh
if grep -q TRIGGER "$1"; then
{lie}
fi
exec /build/orchard "$1"
"""
# Both sides hold the program with all flaws, so that what they are made to show is no fix's doing.
_BUILD_WITH_CRASHING: Final = b"""\
#!/bin/sh
set -e
$CC $CFLAGS "$SRC/orchard.c" -o "$OUT/orchard"
$CC $CFLAGS "$RECIPE/flawed.c" -o "$OUT/crashing"
"""
_LEAKING: Final = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int count, char **argv) {
  char text[64] = {0};
  FILE *file = fopen(argv[count - 1], "rb");
  if (!file) return 65;
  fread(text, 1, sizeof text - 1, file);
  fclose(file);
  if (strstr(text, "TRIGGER")) {
    char *volatile lost = malloc(strlen(text) + 1);
    strcpy(lost, text);
    lost = NULL;
  }
  return 0;
}
"""
_ABORTING: Final = _LEAKING.replace("char *volatile lost = malloc(strlen(text) + 1);", "abort();")
_ABORTS: Final = _ABORTING.replace("    strcpy(lost, text);\n    lost = NULL;\n", "")
# 64 KiB of arrays a level with AddressSanitizer's zones around each, a fraction of that without.
_DEEP: Final = """\
#include <stdio.h>
#include <string.h>
static int level(int left) {
  char one[8], two[8], three[8], four[8], five[8], six[8], seven[8], eight[8];
  volatile char *all[8] = {one, two, three, four, five, six, seven, eight};
  for (int at = 0; at < 8; at++) all[at][left & 7] = (char)left;
  int below = left ? level(left - 1) : 0;
  return below + all[left & 7][left & 7];
}
int main(int count, char **argv) {
  char text[64] = {0};
  FILE *file = fopen(argv[count - 1], "rb");
  if (!file) return 65;
  fread(text, 1, sizeof text - 1, file);
  fclose(file);
  int depth = 5;
  sscanf(text, "TRIGGER %d", &depth);
  return level(depth) == 12345 ? 1 : 0;
}
"""
PROGRAMS: Final[dict[str, tuple[str, str]]] = {
    "leak": (_LEAKING, "leak"),
    "assertion": (_ABORTS, "assertion"),
    "exhaustion": (_DEEP, "exhaustion"),
}
# Attacks of the target on what watches it; the proof says when.
_AGAINST_THE_WATCHER: Final[dict[str, str]] = {
    "kills the watcher": "os.kill(os.getppid(), signal.SIGKILL)",
    "ends the watcher": "os.kill(os.getppid(), signal.SIGTERM)",
    "interrupts the watcher": "os.kill(os.getppid(), signal.SIGINT)",
    "stops the watcher": "os.kill(os.getppid(), signal.SIGSTOP); time.sleep(60)",
    "answers for the watcher and kills it": "forge(); os.kill(os.getppid(), signal.SIGKILL)",
    "answers for the watcher and kills all": "forge(); os.kill(-1, signal.SIGKILL)",
    "answers for the watcher and goes on": "forge()",
    "lays a directory where the answer belongs": "os.mkdir('/out/observed.json')",
    "links the answer to one of its own": (
        "open('/out/mine', 'w').write(ANSWER); os.symlink('/out/mine', '/out/observed.json')"
    ),
    "outlives the run": "forever()",
    "links to the secret": "os.symlink('/work/area/outside/secret', '/out/shown')",
}
WATCHER_ATTACKS: Final = tuple(_AGAINST_THE_WATCHER)
_ATTACKING: Final = """\
import os, signal, sys, time
ANSWER = (
    '{{"ended": {{"exit": 0, "signal": null}}, "seen": [["command", "a canary was called"]], '
    '"sizes": [], "hosted": true}}'
)
def forge():
    open("/out/observed.json", "w").write(ANSWER)
def forever():
    if os.fork():
        return
    os.setsid()
    while True:
        try:
            forge()
        except OSError:
            pass
if b"TRIGGER" in open(sys.argv[1], "rb").read():
    {attack}
"""
# A careful target for the watched oracles: it uses each proof as no more than the data it is.
_CAREFUL: Final = """\
import json, os, sqlite3, sys
text = open(sys.argv[1], encoding="utf-8", errors="replace").read()
open(os.path.basename(text.strip())[:40].replace("\\0", "") or "name", "w").write(text)
if "CLEARHOLD_DATABASE" in os.environ:
    base = sqlite3.connect(os.environ["CLEARHOLD_DATABASE"])
    query = "SELECT name FROM items WHERE owner = 'public' AND name = ?"
    print(base.execute(query, (text,)).fetchall())
print("Hello", text)
"""


# What must not end waits this long, in seconds; what must end may take longer on a busy machine.
_SHORT_S: Final = 2
_LONG_S: Final = 10


def _recipe(
    like: Recipe, files: Mapping[str, bytes], how: Mapping[str, Any], *, run_s: int = _LONG_S
) -> Recipe:
    sides = {
        str(side): {
            "version": state.version,
            "sources": [
                {"origin": source.origin, "sha256": source.sha256} for source in state.sources
            ],
        }
        for side, state in like.sides.items()
    }
    document = {
        "schema": 1,
        "package": like.package,
        "summary": "a driver that lies",
        "sides": sides,
        "build": {"script": "build.sh", "flavours": ["address", "plain"]},
        "targets": {"read": {"summary": "reads", "control": "seeds/benign", **how}},
        "limits": {"run_s": run_s, "memory_mb": 256},
    }
    return parse("hostile", {**files, "recipe.yaml": json.dumps(document).encode()})


def lying(like: Recipe, lie: str, crash: bytes) -> Recipe:
    """The recipe with a driver that lies when the proof holds the trigger."""
    files = {
        "build.sh": _BUILD_WITH_CRASHING,
        "flawed.c": target.source().encode(),
        "driver.sh": _WRAPPER.format(lie=lie).encode(),
        "forged": FORGED.encode(),
        "crash": crash,
        "seeds/benign": like.control("read"),
    }
    return _recipe(
        like,
        files,
        {
            "argv": ["/bin/sh", "/recipe/driver.sh", "/in/proof"],
            "flavour": "address",
            "oracle": "address",
        },
        run_s=_SHORT_S if lie == ENDLESS else _LONG_S,
    )


def faulty(like: Recipe, program: str) -> Recipe:
    """A recipe whose driver itself leaks, gives up or needs a deep stack, by the program's name."""
    code, oracle = PROGRAMS[program]
    files = {
        "build.sh": b'#!/bin/sh\nset -e\n$CC $CFLAGS "$RECIPE/driver.c" -o "$OUT/driver"\n',
        "driver.c": code.encode(),
        "seeds/benign": b"benign",
    }
    return _recipe(
        like,
        files,
        {"argv": ["/build/driver", "/in/proof"], "flavour": "address", "oracle": oracle},
    )


def careful(like: Recipe, oracle: str) -> Recipe:
    """A recipe of a Python target without a flaw, watched by the named oracle."""
    return _watched(like, oracle, _CAREFUL)


def attacking(like: Recipe, oracle: str, attack: str) -> Recipe:
    """A recipe of a Python target that attacks its watcher in a way of `WATCHER_ATTACKS`."""
    words = _AGAINST_THE_WATCHER[attack]
    run_s = _SHORT_S if "SIGSTOP" in words else _LONG_S
    return _watched(like, oracle, _ATTACKING.format(attack=words), run_s=run_s)


def _watched(like: Recipe, oracle: str, driver: str, *, run_s: int = _LONG_S) -> Recipe:
    files = {
        "build.sh": b'#!/bin/sh\n: >"$OUT/built"\n',
        "driver.py": driver.encode(),
        "seeds/benign": b"benign",
    }
    argv = ["/usr/bin/python3", "-s", "/recipe/driver.py", "/in/proof"]
    how = {"argv": argv, "flavour": "plain", "oracle": oracle, "host": "python"}
    return _recipe(like, files, how, run_s=run_s)
