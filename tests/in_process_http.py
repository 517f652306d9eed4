"""An HTTP client that reaches an application in the same process, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
from fastapi import FastAPI


class InProcess(httpx.BaseTransport):
    """Hands each request to an application and waits for its whole answer."""

    def __init__(self, app: FastAPI) -> None:
        self._application = httpx.ASGITransport(app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def hand_over() -> httpx.Response:
            sent = httpx.Request(
                request.method, request.url, headers=request.headers, content=request.read()
            )
            response = await self._application.handle_async_request(sent)
            content = await response.aread()
            return httpx.Response(response.status_code, headers=response.headers, content=content)

        return asyncio.run(hand_over())


def client_of(app: FastAPI, headers: Mapping[str, str]) -> httpx.Client:
    """A client of `app` that sends `headers` with every request."""
    return httpx.Client(transport=InProcess(app), base_url="http://hub", headers=dict(headers))
