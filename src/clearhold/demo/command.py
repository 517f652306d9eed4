"""`clearhold demo`: tells the story from beginning to end."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from clearhold.delivery.cli.output import tell
from clearhold.demo.house import Place, usual_place
from clearhold.demo.progress import Progress
from clearhold.demo.story import Story, StoryError
from clearhold.kernel.errors import ClearholdError, machine_error

DirectoryOption = Annotated[Path | None, typer.Option(help="Where the story keeps its data.")]
CacheOption = Annotated[Path | None, typer.Option(help="Where sources and builds are kept.")]
ReportOption = Annotated[Path, typer.Option(help="Where to write the report.")]


def demo(
    directory: DirectoryOption = None,
    cache: CacheOption = None,
    report: ReportOption = Path("report"),
) -> None:
    """Run the main job on real software, from the first scan claim to a patched operator."""
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("tuf").setLevel(logging.CRITICAL)
    here = usual_place()
    place = Place(
        (directory or here / ".demo").absolute(), (cache or here / ".cache/clearhold").absolute()
    )
    story = Story(place, Progress(), report.absolute())
    try:
        story.tell()
    except StoryError as error:
        typer.echo(f"\nThe demo failed at stage {error.stage}: {error.title}.", err=True)
        tell(error.cause)
        raise typer.Exit(1) from error
    except ClearholdError as error:
        tell(error)
        raise typer.Exit(1) from error
    except OSError as error:
        tell(machine_error(error))
        raise typer.Exit(1) from error
