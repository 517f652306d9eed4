"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from clearhold.delivery.web.rendering import page, wants_page
from clearhold.kernel.errors import (
    ClearholdError,
    StepUpError,
    UnauthenticatedError,
    kind_and_places,
)

UNFORESEEN: Final = ("Something went wrong in the hub.", "Tell the hub's coordinator the time.")
_log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Answer every error of `app` as application/problem+json."""

    @app.exception_handler(ClearholdError)
    def _ours(request: Request, error: ClearholdError) -> Response:
        if wants_page(request):
            return _page(request, error)
        return told(error)

    @app.exception_handler(RequestValidationError)
    def _shape(_request: Request, error: RequestValidationError) -> JSONResponse:
        # The places are told, never the values: they may be what must not be repeated.
        places = sorted({".".join(str(part) for part in each["loc"]) for each in error.errors()})
        return problem(
            422,
            "invalid",
            f"The request does not have the right shape at: {', '.join(places)}.",
            "Compare it with /openapi.json.",
        )

    @app.exception_handler(HTTPException)
    def _framework(_request: Request, error: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "_")
        return problem(error.status_code, code, f"{phrase}.", "See /openapi.json.")

    @app.exception_handler(Exception)
    def _unforeseen(_request: Request, error: Exception) -> JSONResponse:
        return unforeseen(error)


def told(error: ClearholdError) -> JSONResponse:
    """The problem document of an error of ours."""
    return problem(error.status, error.code, error.message, error.next_step, error.facts)


def unforeseen(error: Exception) -> JSONResponse:
    """Log the kind and place of an error that nobody foresaw, and answer without either."""
    note(error)
    return problem(500, "error", *UNFORESEEN)


def note(error: Exception) -> None:
    """Log the kind and place of an error that nobody foresaw."""
    _log.error("an unforeseen error: %s", kind_and_places(error))


def _page(request: Request, error: ClearholdError) -> Response:
    here = quote(request.url.path)
    link, words = {
        UnauthenticatedError.code: (f"/sign-in?next={here}", "Sign in"),
        StepUpError.code: (f"/confirm?next={here}", "Confirm with a passkey"),
    }.get(error.code, ("", ""))
    return page(
        "problem",
        status=error.status,
        heading=error.message,
        next_step=error.next_step,
        link=link,
        link_text=words,
    )


def problem(
    status: int, code: str, sentence: str, next_step: str, facts: dict[str, object] | None = None
) -> JSONResponse:
    """A problem document: what happened, its code, and what to do next."""
    body: dict[str, object] = {
        "type": f"urn:clearhold:problem:{code}",
        "title": sentence,
        "status": status,
        "code": code,
        "next_step": next_step,
    }
    return JSONResponse(
        body | (facts or {}), status_code=status, media_type="application/problem+json"
    )
