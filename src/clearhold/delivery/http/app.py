"""The web application: routers, error documents, limits, and the permission check at start-up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from clearhold.assembly.hub import Hub
from clearhold.delivery.http import (
    account,
    advisories,
    agreements,
    approvals,
    cases,
    catalogue,
    coverage,
    discovery,
    entering,
    feeds,
    findings,
    inventory,
    invitations,
    known,
    leads,
    ledger,
    live,
    model_access,
    model_gateway,
    model_parts,
    model_reports,
    model_tests,
    parties,
    patches,
    problems,
    recoveries,
    remediation,
    scan_meeting,
    scanning,
    sealed,
    standing,
    validation,
    watches,
)
from clearhold.delivery.http.declare import PUBLIC, requires, storable_text, undeclared
from clearhold.delivery.http.doors import sender_of
from clearhold.delivery.http.limits import protect, read_within
from clearhold.delivery.web import pages
from clearhold.store import fence

ROUTERS: Final[tuple[APIRouter, ...]] = (
    account.router,
    parties.router,
    agreements.router,
    invitations.router,
    standing.router,
    approvals.router,
    recoveries.router,
    ledger.router,
    catalogue.router,
    scanning.router,
    coverage.router,
    known.router,
    live.router,
    scan_meeting.router,
    findings.router,
    validation.router,
    discovery.router,
    leads.router,
    watches.router,
    sealed.router,  # before the cases, one of which would otherwise be called "sealed"
    cases.router,
    patches.router,
    inventory.router,
    advisories.router,
    remediation.router,
    model_tests.router,
    model_reports.router,
    model_parts.router,
    model_access.router,
)


def make_app(hub: Hub) -> FastAPI:
    """The application that serves `hub`.

    Raises `RuntimeError` when a route or a tool declares no permission.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield

    app = FastAPI(
        title="Clearhold",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.hub = hub
    problems.install(app)
    app.middleware("http")(_guard)
    for router in ROUTERS:
        app.include_router(router, prefix="/api/v1", dependencies=[Depends(storable_text)])
    app.include_router(entering.router, dependencies=[Depends(storable_text)])
    app.include_router(pages.router)
    app.include_router(live.public, dependencies=[Depends(storable_text)])
    app.include_router(feeds.router)
    app.include_router(model_gateway.router)
    app.include_router(ledger.log)

    @app.get("/openapi.json", include_in_schema=False, **requires(PUBLIC))
    def openapi() -> dict[str, object]:
        return app.openapi()

    @app.get("/healthz", include_in_schema=False, **requires(PUBLIC))
    def healthy() -> dict[str, str]:
        return {"status": "ok"}

    from clearhold.delivery.mcp import serving  # noqa: PLC0415  # slow, and of no use to commands

    serving.install(app)
    missing = undeclared(app)
    if missing:
        message = f"routes without a declared permission: {', '.join(missing)}"
        raise RuntimeError(message)
    app.middleware_stack = model_gateway.Straight(app.build_middleware_stack())  # before them all
    return app


async def _guard(request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
    if "\0" in request.scope["path"] or "%00" in request.url.query:
        return problems.problem(
            422,
            "invalid",
            "The address holds a NUL character.",
            "Leave it out: no id and no name has one.",
        )
    try:
        async with AsyncExitStack() as within:
            instead = None
            if request.method in {"POST", "PUT", "PATCH"}:
                instead = await within.enter_async_context(read_within(request, sender_of))
            if instead is None:
                with fence.request():
                    response = await handle(request)
            else:
                response = instead
    except Exception as error:  # noqa: BLE001  # let through, the server would log its text
        response = problems.unforeseen(error)
    protect(response)
    return response
