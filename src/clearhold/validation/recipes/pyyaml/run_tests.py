"""Runs the project's own tests of its pure Python half and leaves TAP as it goes.

PyYAML's test functions name the endings of the data files they take; each function is run with
every set of files that has those endings.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections import defaultdict
from pathlib import Path

RESULTS = Path("/out/results.tap")
DATA = Path("tests/data")
MODULES = (
    "mark reader canonical tokens structure errors resolver constructor emitter representer"
    " recursive input_output sort_keys multi_constructor"
).split()


def bases() -> dict[str, set[str]]:
    """The data files' endings, by what stands before them."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(DATA.iterdir()):
        if not path.stem.endswith("-py2"):
            found[path.stem].add(path.suffix)
    return found


def passes(function: object, arguments: list[str]) -> bool:
    """Whether a test comes to its end."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            function(*arguments, verbose=False)  # type: ignore[operator]
    except Exception:  # noqa: BLE001  (whatever a test raises, it failed)
        return False
    return True


sys.path.insert(0, "tests/lib3")
files = bases()
with RESULTS.open("w", buffering=1) as results:
    for name in MODULES:
        try:
            module = importlib.import_module(f"test_{name}")
        except Exception:  # noqa: BLE001  (a module that cannot be loaded is a failed test)
            results.write(f"# {name}\nnot ok - loads\n")
            continue
        for title, function in sorted(vars(module).items()):
            wanted = getattr(function, "unittest", None)
            if wanted is None or getattr(function, "__module__", "") != module.__name__:
                continue
            results.write(f"# {title}\n")
            skipped = set(getattr(function, "skip", ()))
            if not wanted:
                results.write(f"{'ok' if passes(function, []) else 'not ok'} - alone\n")
            for base, endings in files.items():
                if wanted and set(wanted) <= endings and not skipped & endings:
                    given = [str(DATA / f"{base}{each}") for each in wanted]
                    results.write(f"{'ok' if passes(function, given) else 'not ok'} - {base}\n")
