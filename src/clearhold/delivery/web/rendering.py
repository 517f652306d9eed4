"""Pages from templates, each under a policy that runs and fetches nothing but the hub's own."""

from __future__ import annotations

import secrets
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

_TEMPLATES: Final = Environment(
    loader=PackageLoader("clearhold.delivery.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)


def page(name: str, *, status: int = 200, csrf: str = "", **values: Any) -> HTMLResponse:
    """The page of that template; `csrf` is the token of the session it is shown to."""
    nonce = secrets.token_urlsafe(16)
    text = _TEMPLATES.get_template(f"{name}.html").render(nonce=nonce, csrf=csrf, **values)
    headers = {
        "Content-Security-Policy": _POLICY.format(nonce=nonce),
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return HTMLResponse(text, status_code=status, headers=headers)


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks for a page, not a program for an answer."""
    return (
        request.method == "GET"
        and "text/html" in request.headers.get("accept", "")
        and not request.url.path.startswith("/api/")
    )


def within(path: str) -> str:
    """`path` when it leads to a page of this hub, the account otherwise."""
    plain = path.isascii() and path.isprintable() and "\\" not in path
    return path if plain and path.startswith("/") and not path.startswith("//") else "/account"
