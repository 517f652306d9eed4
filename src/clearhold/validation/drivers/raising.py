"""Makes the call of a plan with one input after another, and lets mistakes of the package leave.

Shared driver, for files of a recipe that are searched. Such a file says

    import raising
    test_one_input = raising.calling(PLAN)
    if __name__ == "__main__":
        raising.main(test_one_input)

with a plan of `call.py` that names its call. Exceptions that a package declares or
that say that an input is refused are a good end. One of the interpreter's own that tells of a mistake,
raised in the package's code, leaves; as a program, its name and the functions it came through are
written to /out/raised, innermost first.
"""

import functools
import io
import itertools
import os
import sys
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import call

MISTAKES = (
    *(AssertionError, AttributeError, BufferError, IndexError, KeyError, NameError),
    *(RecursionError, SystemError, TypeError, ZeroDivisionError),
)
BUILD = "/build/"


class Calling(call.Caller):
    """A caller for many inputs: names are looked up once, and bytes that are no text become some."""

    named = functools.lru_cache(maxsize=64)(call.Caller.named)

    def text(self):
        return self.proof.decode("utf-8", "replace")

    def give_proof(self, form):
        return io.StringIO(self.text()) if form == "reader" else super().give_proof(form)

    def called(self, what, step):
        result = what(*self.value(step.get("args", [])), **self.value(step.get("kwargs", {})))
        if hasattr(result, "__next__"):
            return list(itertools.islice(result, call.MOST_ITEMS))
        if hasattr(result, "cr_await"):
            import asyncio

            return asyncio.run(result)
        return result


def calling(plan):
    """A function that makes the call with an input and tells how it ended, in a word or two."""
    warnings.simplefilter("ignore")
    call.put_back_moved_names()
    caller = Calling(plan, b"")
    caller.named(plan["call"])

    def test_one_input(data):
        caller.proof = bytes(data)
        try:
            caller.step(plan)
        except call.Unusable:
            return "refused"
        except (Exception, SystemExit) as problem:
            if is_mistake(problem) or getattr(problem, "code", 0) == call.HARNESS_FAULT:
                raise
            return f"refused {type(problem).__name__}"
        return "taken"

    return test_one_input


def is_mistake(problem):
    """Whether an exception of the interpreter's own that tells of a mistake was raised by the package."""
    return (
        isinstance(problem, MISTAKES)
        and type(problem).__module__ == "builtins"
        and through(problem)
    )


def through(problem):
    """The functions of the package that an exception came through, innermost first, each once."""
    names, trace = [], problem.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename.startswith(BUILD) and code.co_name not in names[-1:]:
            names.append(code.co_name)
        trace = trace.tb_next
    return names[::-1]


def main(test_one_input):
    """Make the call with the file that is named, and say how it ended."""
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    try:
        print(test_one_input(data))
    except MISTAKES as problem:
        with open("/out/raised", "w", encoding="utf-8") as file:
            file.write("\n".join([type(problem).__name__, *through(problem)[:3]]) + "\n")
        sys.exit(1)
