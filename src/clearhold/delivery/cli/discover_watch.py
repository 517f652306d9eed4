"""`clearhold discover watch`: campaigns that are repeated on newer versions or commits."""

from __future__ import annotations

from typing import Annotated

import typer

from clearhold.delivery.cli.output import JsonOption, hub, show, told


@told
def watch(
    campaign: str,
    *,
    lease: Annotated[str, typer.Option(help="Your lease's id.")],
    fence: Annotated[int, typer.Option(help="Your lease's fencing token.")],
    total: Annotated[int, typer.Option(help="Seconds that all searches together may take.")],
    ref: Annotated[
        str,
        typer.Option(help="Follow commits in place of releases: refs/heads/main, refs/tags/v1.*"),
    ] = "",
    as_json: bool = JsonOption,
) -> None:
    """Repeat a campaign of yours whenever a newer version is published, while the lease lasts."""
    wish = {"lease": lease, "fence": fence, "total_s": total, "ref": ref}
    show(hub().post(f"/discovery/campaigns/{campaign}/watch", wish), as_json=as_json)


@told
def watches(*, as_json: bool = JsonOption) -> None:
    """List your watches."""
    show(hub().get("/discovery/watches"), as_json=as_json)


@told
def unwatch(watch: str, *, as_json: bool = JsonOption) -> None:
    """End a watch of yours."""
    show(hub().post(f"/discovery/watches/{watch}/stop"), as_json=as_json)
