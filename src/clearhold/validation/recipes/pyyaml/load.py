"""Target `load`: a YAML document loaded as data; the proof is the document."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

UNUSABLE_PROOF = 65


def read() -> str:
    """The proof as text; ends the driver when it is none."""
    try:
        return Path(sys.argv[1]).read_text(encoding="utf-8")
    except ValueError:
        sys.exit(UNUSABLE_PROOF)


document = read()
try:
    print(type(yaml.load(document, Loader=yaml.FullLoader)))
except yaml.YAMLError as error:
    print("refused", type(error).__name__)
