"""`clearhold model`, with the demo's story on top of the product's own commands."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from clearhold.delivery.cli.model import app
from clearhold.delivery.cli.output import JsonOption, show, told

__all__ = ["app"]


@app.command("demo")
@told
def demo(
    to: Annotated[Path, typer.Option(help="Where the report and the record are written.")] = Path(
        "model-report"
    ),
    *,
    cache: Annotated[Path | None, typer.Option(help="Where sources and builds are kept.")] = None,
    scripted: Annotated[
        bool, typer.Option("--scripted", help="An endpoint that answers by rote, and no model.")
    ] = False,
    as_json: bool = JsonOption,
) -> None:
    """Run one engagement end to end on a hub of its own: the first time 130 MB are fetched."""
    # Here, for the story has a hub of its own, which none of the other commands needs.
    from clearhold.demo.house import usual_place  # noqa: PLC0415
    from clearhold.demo.model_scene import ModelPlace  # noqa: PLC0415
    from clearhold.demo.model_story import tell_story  # noqa: PLC0415

    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="clearhold-model-") as directory:
        root = Path(directory)
        root.chmod(0o755)  # the hub wants a place that the sandbox's own user may enter
        place = ModelPlace(root, (cache or usual_place() / ".cache/clearhold").absolute())
        told_ = tell_story(
            place, to.absolute(), lambda said: typer.echo(said, err=as_json), scripted=scripted
        )
    if as_json:
        show(told_, as_json=True)
