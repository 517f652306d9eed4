"""Runs inside the sandbox: lets Atheris search one Python harness.

Called with the harness's file, the modules to watch separated by commas, and libFuzzer's options. The
harness defines `test_one_input(data)`, which takes bytes; an exception that leaves it is a crash.
"""

import runpy
import sys

import atheris


def main() -> None:
    """Import what is watched with instruments, load the harness, search."""
    _, harness, modules, *options = sys.argv
    with atheris.instrument_imports(include=[each for each in modules.split(",") if each]):
        names = runpy.run_path(harness, run_name="harness")
    atheris.Setup([harness, *options], names["test_one_input"], internal_libfuzzer=True)
    atheris.Fuzz()


main()
