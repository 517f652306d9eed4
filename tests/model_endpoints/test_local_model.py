"""A model of this machine's own runs in a process that knows nothing of the hub and ends with it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clearhold.adapters.model_local import LocalModel, serving
from clearhold.kernel.errors import UnavailableError

STAND_IN = """\
import json, os, sys
class Part:
    def __init__(self): self.path = self.n_threads = None
class CommonParams:
    def __init__(self): self.model, self.cpuparams, self.cpuparams_batch = Part(), Part(), Part()
class Server:
    def __init__(self, params):
        print("the library prints whatever it likes")
        assert params.hostnames == ["127.0.0.1"] and params.use_jinja and not params.ui
        with open(params.model.path, "w") as told:
            json.dump({"env": dict(os.environ), "keys": params.api_keys, "port": params.port}, told)
        self.listening_address = "http://127.0.0.1:4"
"""


def library(place: Path, text: str) -> Path:
    """A directory with a package that stands in for the library."""
    (place / "lib" / "xllamacpp").mkdir(parents=True)
    (place / "lib" / "xllamacpp" / "__init__.py").write_text(text)
    return place / "lib"


def ended(process: int) -> bool:
    """Whether it ends in ten seconds; one that waits for whoever adopted it to look has ended too."""
    stat = Path(f"/proc/{process}/stat")
    for _ in range(200):
        try:
            state = stat.read_text(encoding="ascii", errors="replace").rpartition(") ")[2][:1]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_it_is_told_what_to_serve_and_none_of_the_hub_s_surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARHOLD_TOKEN", "a-secret")
    lib, weights = library(tmp_path, STAND_IN), tmp_path / "weights"
    with serving(lib, weights, name="small", context=4096, key="k", port=7) as model:
        assert model == LocalModel("http://127.0.0.1:4/v1", "small", model.process)
        told = json.loads(weights.read_text())
    assert (told["keys"], told["port"]) == (["k"], 7)
    assert "a-secret" not in json.dumps(told["env"])
    assert ended(model.process)


@pytest.mark.parametrize(
    "text", ["raise MemoryError('no room')", "import os; os.write(1, b'{}\\n')"]
)
def test_one_that_does_not_start_says_what_it_said(tmp_path: Path, text: str) -> None:
    lib = library(tmp_path, text)
    with pytest.raises(UnavailableError) as told, serving(lib, lib, name="x", context=4096):
        pass
    assert told.value.next_step
    assert "Error" in told.value.message


def test_it_ends_with_whoever_started_it_even_by_kill_9(tmp_path: Path) -> None:
    lib = library(tmp_path, STAND_IN)
    program = (
        "import os, pathlib, sys, time\n"
        "from clearhold.adapters.model_local import serving\n"
        "lib, weights = map(pathlib.Path, sys.argv[1:])\n"
        "with serving(lib, weights, name='x', context=4096) as model:\n"
        "    print(model.process, flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(lib), str(tmp_path / "weights")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        process = int(parent.stdout.readline())
        parent.kill()
    assert ended(process)
