"""A model's endpoint in the test's own process: it answers what a script says, and keeps what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

from clearhold.adapters.model_openai import OpenAiModel

Say = bytes | dict[str, Any] | tuple[int, dict[str, str], bytes]
"""A whole body, a message of the assistant, or a status with headers and a body."""
Script = Callable[[list[dict[str, Any]]], Say]
"""From the conversation so far to what is said next."""

LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass
class Endpoint:
    """Where it listens, and the requests it got: headers and bodies."""

    address: str
    asked: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def model(self, *, key: str = "", **options: Any) -> OpenAiModel:
        return OpenAiModel(self.address, "scripted-1", key=key, also=LOOPBACK, **options)

    @property
    def everything(self) -> str:
        """All that ever reached it, as text."""
        return json.dumps(self.asked, ensure_ascii=False)


@contextmanager
def serving(script: Script) -> Iterator[Endpoint]:
    """An endpoint that follows `script`, on a loopback port of its own."""
    endpoint = Endpoint("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(length))
            endpoint.asked.append(({k.lower(): v for k, v in self.headers.items()}, body))
            said = script(body["messages"])
            if isinstance(said, dict):
                said = answer(said)
            status, headers, content = said if isinstance(said, tuple) else (200, {}, said)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # whoever asked has had enough

        def log_message(self, *_: object) -> None:
            """A test's own output is enough."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        endpoint.address = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield endpoint
        finally:
            server.shutdown()
            thread.join()


def answer(message: Mapping[str, Any], **usage: Any) -> bytes:
    """A whole answer with one message."""
    said = {"role": "assistant", "content": None} | dict(message)
    counted = {"prompt_tokens": 100, "completion_tokens": 10} | usage
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    whole = {"id": "x", "model": "scripted-1-2026", "choices": [choice], "usage": counted}
    return json.dumps(whole).encode()


def wish(name: str, identity: str = "", **arguments: Any) -> dict[str, Any]:
    """A message that wishes for one tool."""
    return wishes((name, arguments), identity=identity)


def wishes(*calls: tuple[str, Any], identity: str = "") -> dict[str, Any]:
    """A message that wishes for several tools; arguments are an object, or text as it is."""
    return {
        "tool_calls": [
            {
                "id": f"{identity}{number}" if identity else "",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": given if isinstance(given, str) else json.dumps(given),
                },
            }
            for number, (name, given) in enumerate(calls)
        ]
    }


def in_turn(steps: Iterable[Say]) -> Script:
    """Says one thing after the other, whatever it hears, and the last for ever."""
    left = list(steps)

    def script(_messages: list[dict[str, Any]]) -> Say:
        return left.pop(0) if len(left) > 1 else left[0]

    return script
