"""`clearhold model serve`: a small model on this machine, to try things with."""

from __future__ import annotations

from typing import Annotated

import typer

from clearhold.adapters.model_local import serving
from clearhold.adapters.origins import all_origins
from clearhold.adapters.sources_cache import CachedSources
from clearhold.delivery.cli.output import told
from clearhold.delivery.cli.serving import told_to_end
from clearhold.discovery.agents.small_model import CONTEXT, NAME, small_model
from clearhold.settings import from_environment


@told
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    threads: Annotated[
        int, typer.Option(min=0, max=512, help="0 uses every processor of this machine.")
    ] = 0,
) -> None:
    """Serve a small model on loopback until told to end; the first time 130 MB are fetched.

    Prints the settings by which a hub on this machine searches with it.
    """
    cache = from_environment().cache_directory
    sources = CachedSources(cache / "sources", origins=all_origins(cache))
    found = small_model(sources, cache)
    with (
        told_to_end() as ending,
        serving(
            found.library, found.weights, name=NAME, context=CONTEXT, port=port, threads=threads
        ) as model,
    ):
        typer.echo(f"CLEARHOLD_MODEL_URL={model.address}")
        typer.echo(f"CLEARHOLD_MODEL_NAME={model.name}")
        typer.echo("CLEARHOLD_MODEL_NETWORKS=127.0.0.0/8")
        typer.echo(f"CLEARHOLD_MODEL_CONTEXT={CONTEXT}")
        if ending.empty():
            ending.get()
