"""The process of a local model: reads one wish from its input, serves, and ends when its input does.

Run by path, with an interpreter that sees no package but xllamacpp, from the directory that it is told.
"""

import json
import os
import sys
from typing import Any


def main() -> None:
    """Serve until the other end of the input is closed, which the system does for the dead, too."""
    wish = json.loads(sys.stdin.readline())
    told = os.dup(1)
    os.dup2(2, 1)  # whatever the library prints is no answer
    server = serve(wish)
    os.write(told, json.dumps({"address": server.listening_address}).encode() + b"\n")
    sys.stdin.read()
    os._exit(0)  # its threads serve on, and would be waited for


def serve(wish: dict[str, Any]) -> Any:
    """A server on loopback, which listens once this returns."""
    sys.path.insert(0, wish["library"])
    import xllamacpp  # noqa: PLC0415  # it is where the wish says

    params = xllamacpp.CommonParams()
    params.model.path = wish["weights"]
    params.model_alias = {wish["name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = wish["port"]
    params.api_keys = [wish["key"]] if wish["key"] else []
    params.n_ctx = wish["context"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = wish["threads"]
    params.use_jinja = True  # without it there are no tools
    params.offline = True
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.cors_origins = "null"
    params.cache_ram_mib = 0
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
