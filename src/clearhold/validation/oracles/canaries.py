"""The watched oracles, each with its self-test pair."""

from __future__ import annotations

from typing import Final

from clearhold.validation.oracles.observation import SelfTest
from clearhold.validation.oracles.watched import ALL_HOSTS, Complexity, Watched

_READS: Final = "import sys\nproof = open(sys.argv[1]).read()\n"
_ASKS: Final = """\
import os, sqlite3, sys
proof = open(sys.argv[1]).read()
base = sqlite3.connect(os.environ['CLEARHOLD_DATABASE'])
query = "SELECT name FROM items WHERE owner = 'public' AND name = {where}
print(base.execute(query, {values}).fetchall())
"""

CANARIES: Final[tuple[Watched, ...]] = (
    Watched(
        name="command",
        version="1",
        claim="injection",
        purpose="A command of the proof's choosing is carried out.",
        hosts=ALL_HOSTS,
        self_test=SelfTest(
            violating=f"{_READS}import os\nos.system('echo ' + proof)\n",
            clean=f"{_READS}import subprocess\nsubprocess.run(['echo', proof], check=True)\n",
            host="python",
            proof=b"x; clearhold-canary",
        ),
    ),
    Watched(
        name="eval",
        version="1",
        claim="injection",
        purpose="Code of the proof's choosing runs in the target's interpreter.",
        hosts=("python", "node"),
        self_test=SelfTest(
            violating=f"{_READS}eval(proof)\n",
            clean=f"{_READS}import ast\nast.parse(proof)\nprint(proof)\n",
            host="python",
            proof=b"clearhold_canary()",
        ),
    ),
    Watched(
        name="file",
        version="1",
        claim="injection",
        purpose="The interpreter opens, changes or removes a file of the proof's choosing.",
        hosts=("python",),
        self_test=SelfTest(
            violating=f"{_READS}open(proof, 'a').close()\n",
            clean=f"{_READS}import os\nopen(os.path.basename(proof), 'a').close()\n",
            host="python",
            proof=b"../outside/clearhold-canary",
        ),
    ),
    Watched(
        name="import",
        version="1",
        claim="injection",
        purpose="A module of the proof's choosing is imported.",
        hosts=("python",),
        self_test=SelfTest(
            violating=f"{_READS}import importlib\nimportlib.import_module(proof)\n",
            clean=f"{_READS}import importlib.util\nimportlib.util.find_spec(proof)\n",
            host="python",
            proof=b"clearhold_canary",
        ),
    ),
    Watched(
        name="path-escape",
        version="1",
        claim="injection",
        purpose="Something is made, changed or removed outside the directory the target works in.",
        hosts=ALL_HOSTS,
        self_test=SelfTest(
            violating=f"{_READS}open(proof, 'w').close()\n",
            clean=f"{_READS}import os\nopen(os.path.basename(proof), 'w').close()\n",
            host="python",
            proof=b"../escaped",
        ),
    ),
    Watched(
        name="pollution",
        version="1",
        claim="injection",
        purpose="A prototype that all objects share gains or changes a property.",
        hosts=("node",),
        reports=True,
        self_test=SelfTest(
            violating="const found = {};\nfound.__proto__.polluted = 'yes';\n",
            clean="const found = Object.create(null);\nfound.__proto__ = {polluted: 'yes'};\n",
            host="node",
        ),
    ),
    Watched(
        name="request",
        version="1",
        claim="injection",
        purpose="A request of the proof's choosing reaches a server inside the sandbox.",
        hosts=ALL_HOSTS,
        self_test=SelfTest(
            violating=f"{_READS}import urllib.request\nurllib.request.urlopen(proof).read()\n",
            clean=f"{_READS}print('refused', proof)\n",
            host="python",
            proof=b"http://127.0.0.1:8077/clearhold-canary",
        ),
    ),
    Watched(
        name="secret",
        version="1",
        claim="leak",
        purpose="A secret of a file or of the environment is shown.",
        hosts=ALL_HOSTS,
        self_test=SelfTest(
            violating=f"{_READS}print(open(proof).read())\n",
            clean=f"{_READS}open(proof).read()\nprint(proof)\n",
            host="python",
            proof=b"../outside/secret",
        ),
    ),
    Watched(
        name="sql",
        version="1",
        claim="injection",
        purpose="A query gives rows that it may not, or changes what it may not.",
        hosts=("native", "python"),
        self_test=SelfTest(
            violating=_ASKS.format(where="'{}'\".format(proof)", values="()"),
            clean=_ASKS.format(where='?"', values="(proof,)"),
            host="python",
            proof=b"x' UNION SELECT secret FROM vault --",
        ),
    ),
    Watched(
        name="template",
        version="1",
        claim="injection",
        purpose="An expression in text that should be shown as it is gets evaluated.",
        hosts=ALL_HOSTS,
        self_test=SelfTest(
            violating=f"{_READS}print('Hello ' + str(eval(proof.strip('{{}}'))))\n",
            clean=f"{_READS}print('Hello ' + proof)\n",
            host="python",
            proof=b"{{CLEARHOLD_A*CLEARHOLD_B}}",
        ),
    ),
    Complexity(
        name="complexity",
        version="4",
        claim="hang",
        purpose="Time grows with the square of the input or faster, beyond a second.",
        hosts=ALL_HOSTS,
        self_test=SelfTest(
            violating=f"{_READS}n = len(proof)\nsum(1 for _ in range(n) for _ in range(n))\n",
            clean=f"{_READS}n = len(proof)\nsum(1 for _ in range(n) for _ in range(500))\n",
            host="python",
            proof=b'{"largest": 11000, "pump": "x"}',
        ),
    ),
)
