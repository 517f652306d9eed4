"""Public feeds, without a token: CSAF, OSV and the TUF repository. Only what is published."""

from __future__ import annotations

import hashlib
from html import escape
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from clearhold.delivery.http.declare import PUBLIC, HubDep, requires
from clearhold.kernel.errors import NotFoundError
from clearhold.wire.bundle import safe_target_path

router = APIRouter(tags=["feeds"])

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_CSV: Final = "text/csv; charset=utf-8"
_FRESH: Final = {"Cache-Control": "public, max-age=60"}


def _answer(request: Request, content: bytes, media_type: str) -> Response:
    """The content, or "not modified" to a reader who has it."""
    tag = f'"{hashlib.sha256(content).hexdigest()}"'
    headers = _FRESH | {"ETag": tag}
    if tag in request.headers.get("if-none-match", "").split(", "):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


@router.get("/.well-known/csaf/provider-metadata.json", **requires(PUBLIC))
def provider_metadata(request: Request, hub: HubDep) -> Response:
    """Who provides these CSAF documents and where they lie."""
    return _answer(request, hub.feeds.provider_metadata(), _JSON)


@router.get("/.well-known/csaf/index.txt", **requires(PUBLIC))
def csaf_index(request: Request, hub: HubDep) -> Response:
    """The path of every CSAF document."""
    return _answer(request, hub.feeds.csaf_index(), _TEXT)


@router.get("/.well-known/csaf/changes.csv", **requires(PUBLIC))
def csaf_changes(request: Request, hub: HubDep) -> Response:
    """When every CSAF document last changed, newest first."""
    return _answer(request, hub.feeds.csaf_changes(), _CSV)


@router.get("/.well-known/csaf/", **requires(PUBLIC))
def csaf_listing(request: Request, hub: HubDep) -> Response:
    """The directory as a page, for readers who follow links."""
    paths = hub.feeds.csaf_index().decode().splitlines()
    names = ("provider-metadata.json", "index.txt", "changes.csv", *paths)
    items = "".join(f'<li><a href="{escape(name)}">{escape(name)}</a></li>' for name in names)
    page = f'<!doctype html><html lang="en"><title>CSAF documents</title><ul>{items}</ul></html>'
    return _answer(request, page.encode(), "text/html; charset=utf-8")


@router.get("/.well-known/csaf/{year}/{name}.json", **requires(PUBLIC))
def csaf_document(request: Request, hub: HubDep, year: int, name: str) -> Response:
    """One CSAF document."""
    return _answer(request, hub.feeds.csaf_document(year, f"{name}.json"), _JSON)


@router.get("/.well-known/csaf/{year}/{name}.json.sha256", **requires(PUBLIC))
def csaf_sha256(request: Request, hub: HubDep, year: int, name: str) -> Response:
    """The SHA-256 of a CSAF document."""
    return _answer(request, hub.feeds.csaf_hash(year, f"{name}.json", "sha256"), _TEXT)


@router.get("/.well-known/csaf/{year}/{name}.json.sha512", **requires(PUBLIC))
def csaf_sha512(request: Request, hub: HubDep, year: int, name: str) -> Response:
    """The SHA-512 of a CSAF document."""
    return _answer(request, hub.feeds.csaf_hash(year, f"{name}.json", "sha512"), _TEXT)


@router.get("/osv/all.zip", **requires(PUBLIC))
def osv_archive(request: Request, hub: HubDep) -> Response:
    """Every OSV record."""
    return _answer(request, hub.feeds.osv_archive(), "application/zip")


@router.get("/osv/modified_id.csv", **requires(PUBLIC))
def osv_changes(request: Request, hub: HubDep) -> Response:
    """When every OSV record last changed, newest first."""
    return _answer(request, hub.feeds.osv_changes(), _CSV)


@router.get("/osv/{identity}.json", **requires(PUBLIC))
def osv_record(request: Request, hub: HubDep, identity: str) -> Response:
    """One OSV record."""
    return _answer(request, hub.feeds.osv_record(identity), _JSON)


@router.get("/tuf/metadata/{path:path}", **requires(PUBLIC))
def tuf_metadata(hub: HubDep, path: str) -> Response:
    """A metadata file of the TUF repository."""
    return _file(hub.settings.repository_directory / "metadata", path, _JSON)


@router.get("/tuf/targets/{path:path}", **requires(PUBLIC))
def tuf_target(hub: HubDep, path: str) -> Response:
    """A released file of the TUF repository."""
    return _file(hub.settings.repository_directory / "targets", path, "application/octet-stream")


def _file(directory: Path, path: str, media_type: str) -> Response:
    """A file below `directory`; nothing hidden, nothing outside, nothing through a link."""
    found = directory / path
    whole = safe_target_path(path) and found.is_file()
    if not whole or found.resolve() != directory.resolve() / path:
        raise NotFoundError("There is no such published file.")
    return FileResponse(found, media_type=media_type, headers={"Cache-Control": "public, no-cache"})
