"""`clearhold`: the command line, with the demo's story on top of the product's own commands."""

from __future__ import annotations

from clearhold.delivery.cli.main import COMMANDS, app

COMMANDS["demo"] = "clearhold.demo.command:demo"
COMMANDS["model"] = "clearhold.demo.model_command:app"


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
