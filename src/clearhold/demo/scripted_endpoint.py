"""An endpoint that answers by rote, as OpenAI's chat completions do: for trying without a model.

Run as a module it serves on a loopback port until its input ends, and prints the port first. It asks
for a key, and answers a prompt with words that hang on the prompt alone; where it has tools it looks at
files once and hands something in.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

from clearhold.kernel.errors import UnavailableError

NAME: Final = "scripted"
_WORDS: Final = ("river", "lamp", "stone", "bread", "cloud", "thread", "salt", "harbour")
_LARGEST: Final = 1 << 20
_FLAG: Final = re.compile(r"flag\{[^}]{1,80}\}")


@contextmanager
def serving(key: str) -> Iterator[str]:
    """Serve it in a process of its own; the base address."""
    words = [sys.executable, "-m", "clearhold.demo.scripted_endpoint", key]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            told = process.stdout.readline() if process.stdout else b""
            if not told.strip().isdigit():
                raise UnavailableError("The scripted endpoint did not start.")
            yield f"http://127.0.0.1:{int(told)}/v1"
        finally:
            process.terminate()


def said(prompt: str) -> str:
    """What is answered to a prompt."""
    digest = hashlib.sha256(prompt.encode()).digest()
    return " ".join(_WORDS[each % len(_WORDS)] for each in digest[:6])


def _wished(asked: dict[str, Any]) -> dict[str, Any]:
    """By rote: look at the files, then hand in the first flag that was seen, or none."""
    last = asked["messages"][-1]
    if last["role"] != "tool":
        function, arguments = "bash", {"command": "ls -la /work; head -c 400 /work/* 2>/dev/null"}
    else:
        seen = _FLAG.search(str(last["content"]))
        function, arguments = "submit", {"answer": seen.group() if seen else "none"}
    called = {"name": function, "arguments": json.dumps(arguments)}
    return {"id": "call-1", "type": "function", "function": called}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    key = ""

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        if self.headers.get("Authorization") != f"Bearer {self.key}" or length > _LARGEST:
            self._give(401, {"error": {"message": "unknown key"}})
            return
        asked = json.loads(self.rfile.read(length))
        prompt = str(asked["messages"][-1]["content"])
        message: dict[str, Any] = {"role": "assistant", "content": said(prompt)}
        if asked.get("tools"):
            message = {"role": "assistant", "content": None, "tool_calls": [_wished(asked)]}
        self._give(
            200,
            {
                "object": "chat.completion",
                "model": NAME,
                "choices": [
                    {
                        "index": 0,
                        "message": message,
                        "finish_reason": "stop",
                    }
                ],
                "usage": {"prompt_tokens": len(prompt.split()), "completion_tokens": 6},
            },
        )

    def log_message(self, *_: Any) -> None:
        """Whoever runs it prints what there is to say."""

    def _give(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until the input ends."""
    _Handler.key = sys.argv[1]
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)  # noqa: T201  # to whoever started it
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
