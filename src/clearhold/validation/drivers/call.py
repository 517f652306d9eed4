"""Gives a proof to a Python package by a call; a plan of the recipe says what may be called.

Called with the proof and the plan, both files. The plan is JSON: `package` names the modules that
are the package, `allow` what may be called, by dotted name, and `methods` what may be called on
what the package made. With `call`, the plan is the call, and `{"$proof": FORM}` in its arguments is
where the proof goes; without it, the proof is JSON and itself names the call:

    {"call": "render", "args": ["text"], "kwargs": {}, "then": [{"call": "strip"}]}

In `then`, the name "()" calls the result itself. Only what the plan allows is ever called, so that a proof is data and no program. What the package
raises is a refusal and a good end; a name, module or signature that is not there is none.
"""

import base64
import importlib
import inspect
import itertools
import json
import os
import sys

UNUSABLE_PROOF = 65
HARNESS_FAULT = 70
MOST_SHOWN = 256 * 1024
MOST_ITEMS = 100_000
DATABASE = "CLEARHOLD_DATABASE"
ITSELF = "()"


class Unusable(Exception):
    """The proof is not of the form that the plan takes."""


def put_back_moved_names():
    """What Python 3.10 and 3.11 took away and older releases of packages still ask for."""
    import collections.abc

    for name in collections.abc.__all__:
        if not hasattr(collections, name):
            setattr(collections, name, getattr(collections.abc, name))
    if not hasattr(inspect, "getargspec"):
        inspect.getargspec = lambda function: inspect.getfullargspec(function)[:4]
    if not hasattr(inspect, "formatargspec"):
        inspect.formatargspec = in_words


def in_words(
    args,
    varargs=None,
    varkw=None,
    defaults=None,
    kwonlyargs=(),
    kwonlydefaults=None,
    annotations=None,
    formatvalue=lambda value: f"={value!r}",
    **_,
):
    """Parameters as `getfullargspec` tells them, in the form of Python's source."""
    given, plain = list(defaults or ()), len(args) - len(defaults or ())
    told = [
        name if place < plain else name + formatvalue(given[place - plain])
        for place, name in enumerate(args)
    ]
    told += [f"*{varargs}"] if varargs else ["*"] if kwonlyargs else []
    further = kwonlydefaults or {}
    told += [
        name + formatvalue(further[name]) if name in further else name for name in kwonlyargs or ()
    ]
    told += [f"**{varkw}"] if varkw else []
    return f"({', '.join(told)})"


class Caller:
    """Carries out calls that a plan allows."""

    def __init__(self, plan, proof):
        self.plan = plan
        self.proof = proof
        self.allow = plan["allow"]

    def run(self):
        """Carry out the call and give its result."""
        if "call" in self.plan:
            return self.step(self.plan)
        call = self.parsed()
        if not isinstance(call, dict):
            raise Unusable("expected an object")
        if "call" not in call and len(self.allow) == 1:
            call = {"call": self.allow[0], **call}
        return self.step(call)

    def step(self, step):
        """One call and those that follow it on its result."""
        if not isinstance(step, dict) or not isinstance(step.get("call"), str):
            raise Unusable("a call is an object with a name")
        if not set(step) <= {"call", "args", "kwargs", "then", "package", "allow", "methods"}:
            raise Unusable("a call has no such member")
        result = self.called(self.named(step["call"]), step)
        for following in step.get("then", ()):
            result = self.called(self.method(result, following), following)
        return result

    def named(self, name):
        """What the package calls by that name, when the plan allows it."""
        if name not in self.allow:
            fitting = [each for each in self.allow if each.endswith("." + name)]
            shortest = min((each.count(".") for each in fitting), default=0)
            fitting = [each for each in fitting if each.count(".") == shortest]
            if len(fitting) != 1:
                last = "." + name.rsplit(".", 1)[-1]
                fitting = [each for each in self.allow if each.endswith(last)]
            if len(fitting) != 1:
                raise Unusable(f"{name[:80]!r} is nothing that may be called")
            name = fitting[0]
        try:
            return found(name)
        except (AttributeError, ImportError) as problem:
            # Not the package's refusal: a release without it shows nothing of the flaw.
            print("not there:", name, problem, file=sys.stderr)
            raise SystemExit(HARNESS_FAULT) from problem

    def method(self, result, step):
        """A method of what the package made, when a class of the package gives it."""
        name = step.get("call") if isinstance(step, dict) else None
        if name not in self.plan.get("methods", ()):
            raise Unusable(f"{str(name)[:80]!r} is no method that may be called")
        if name == ITSELF:
            if getattr(result, "__module__", "").split(".")[0] in self.plan["package"] and callable(
                result
            ):
                return result
            raise Unusable("the result is no function of the package")
        for base in type(result).__mro__:
            if name in vars(base) and base.__module__.split(".")[0] in self.plan["package"]:
                return getattr(result, name)
        raise Unusable(f"{name!r} is no method of the package")

    def called(self, what, step):
        """The result of one call."""
        args = self.value(step.get("args", []))
        kwargs = self.value(step.get("kwargs", {}))
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise Unusable("args is a list and kwargs an object")
        try:
            inspect.signature(what).bind(*args, **kwargs)
        except TypeError as problem:
            raise Unusable(str(problem)) from None
        except ValueError:
            pass  # what is written in C often tells no signature
        result = what(*args, **kwargs)
        if inspect.iscoroutine(result):
            import asyncio

            return asyncio.run(result)
        return result

    def parsed(self):
        try:
            return json.loads(self.proof)
        except (ValueError, RecursionError):
            raise Unusable("the proof is no JSON") from None

    def text(self):
        try:
            return self.proof.decode("utf-8")
        except ValueError:
            raise Unusable("the proof is no text") from None

    def value(self, given):
        """An argument as the package gets it."""
        if isinstance(given, list):
            return [self.value(each) for each in given]
        if not isinstance(given, dict):
            return given
        if len(given) == 1:
            (word, what), *_ = given.items()
            if word.startswith("$") and hasattr(self, f"give_{word[1:]}"):
                return getattr(self, f"give_{word[1:]}")(what)
        return {name: self.value(each) for name, each in given.items()}

    def give_proof(self, form):
        if form == "text":
            return self.text()
        if form == "bytes":
            return self.proof
        if form == "lines":
            return self.text().splitlines()
        if form == "args":
            arguments = self.parsed()
            if isinstance(arguments, dict) and set(arguments) <= {"args", "kwargs"}:
                arguments = arguments.get("args", [])
            return self.value(arguments) if isinstance(arguments, list) else [arguments]
        if form == "kwargs":
            arguments = self.parsed()
            return self.value(arguments.get("kwargs", {})) if isinstance(arguments, dict) else {}
        if form == "json":
            return self.parsed()
        if form == "stream":
            import io

            return io.BytesIO(self.proof)
        if form.startswith("file"):
            return self.give_file({"name": "proof" + form[4:], "bytes": self.proof})
        raise SystemExit(HARNESS_FAULT)

    def give_bytes(self, text):
        try:
            return base64.b64decode(text, validate=True)
        except (TypeError, ValueError):
            raise Unusable("bytes are given in base64") from None

    def give_file(self, what):
        name = os.path.basename(str(what.get("name", "file"))) or "file"
        content = what.get("bytes")
        if isinstance(content, str):
            content = self.give_bytes(content)
        elif content is None:
            content = str(what.get("text", "")).encode()
        with open(name, "wb") as file:
            file.write(content)
        return name

    def give_export(self, name):
        return self.named(str(name))

    def give_call(self, step):
        return self.step(step)

    def give_tuple(self, items):
        return tuple(self.value(items))

    def give_database(self, _):
        return os.environ.get(DATABASE, "")


def found(name):
    """The object of a dotted name; ends the driver when it is not there."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError as problem:
            if problem.name and ".".join(parts[:count]).startswith(problem.name) and count > 1:
                continue
            raise
        for part in parts[count:]:
            thing = getattr(thing, part)
        return thing
    raise ModuleNotFoundError(name)


def shown(result):
    """What a result is in words, as far as it is worth showing; iterators are used up."""
    if hasattr(result, "__next__"):
        result = list(itertools.islice(result, MOST_ITEMS))
    if isinstance(result, bytes):
        return result.decode("utf-8", "replace")
    return result if isinstance(result, str) else f"{result!r}"


def main():
    """Read plan and proof, call, and show the result."""
    with open(sys.argv[1], "rb") as file:
        proof = file.read()
    with open(sys.argv[2], encoding="utf-8") as file:
        plan = json.load(file)
    put_back_moved_names()
    try:
        print(shown(Caller(plan, proof).run())[:MOST_SHOWN])
    except Unusable as problem:
        print("unusable proof:", problem, file=sys.stderr)
        sys.exit(UNUSABLE_PROOF)
    except ImportError as problem:
        if not problem.name or problem.name.encode() not in proof:
            raise
        print("refused", type(problem).__name__)
    except (Exception, SystemExit) as problem:
        if isinstance(problem, SystemExit) and problem.code == HARNESS_FAULT:
            raise
        print("refused", type(problem).__name__)


if __name__ == "__main__":
    main()
