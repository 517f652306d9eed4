"""Tells what a built Python package offers and how each part is made, as JSON at /out/survey.json.

Called with the names of the package's top modules, which lie in /build. Every module is imported
where it can be: hence only inside the sandbox. Of each definition a hash of its syntax tree and the
names it uses are told, so that two releases can be compared and what leads to a change be found.
"""

import ast
import hashlib
import importlib
import inspect
import json
import pkgutil
import sys
import time
from pathlib import Path

sys.path.insert(0, "/recipe")
import call

MOST_ENTRIES = 4000
MOST_MODULES = 1500
PATIENCE_S = 25.0
SKIPPED = {"tests", "test", "testing", "conftest", "__main__", "_vendor", "vendor", "idlelib"}


def modules(top):
    """Every module of the package that can be imported, and those that cannot with the reason."""
    until = time.monotonic() + PATIENCE_S
    names, there, problems = [top], [], []
    while names and len(there) < MOST_MODULES and time.monotonic() < until:
        name = names.pop(0)
        if set(name.split(".")) & SKIPPED:
            continue
        try:
            module = importlib.import_module(name)
        except BaseException as problem:
            problems.append(f"{name}: {type(problem).__name__}: {problem}"[:200])
            continue
        there.append(module)
        if hasattr(module, "__path__"):
            names += [f"{name}.{each.name}" for each in pkgutil.iter_modules(module.__path__)]
    return there, problems


def parameters(thing):
    """The parameters that can be given by place: name, and whether one must be given."""
    try:
        taken = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return None
    told = []
    for each in taken:
        if each.kind is each.VAR_POSITIONAL:
            told.append(["*", False])
        elif each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD} or (
            each.kind is each.KEYWORD_ONLY and each.default is each.empty
        ):
            told.append([each.name, each.default is each.empty])
    return told


def methods(kind, tops):
    """The public methods that a class has from classes of the package."""
    told = {}
    for base in reversed(kind.__mro__):
        if base.__module__.split(".")[0] not in tops:
            continue
        for name, what in vars(base).items():
            if not name.startswith("_") and callable(getattr(kind, name, None)):
                if isinstance(what, (classmethod, staticmethod)):
                    continue
                given = parameters(what)
                told[name] = None if given is None else given[1:]
    return told


def entries(found, tops):
    """What the package offers, each thing by its shortest name."""
    told, known = {}, {}
    for module in sorted(found, key=lambda each: each.__name__.count(".")):
        for name, thing in sorted(vars(module).items()):
            if name.startswith("_") or not callable(thing) or len(told) >= MOST_ENTRIES:
                continue
            home = getattr(thing, "__module__", None) or ""
            if home.split(".")[0] not in tops or id(thing) in known:
                continue
            known[id(thing)] = thing
            is_class = inspect.isclass(thing)
            if is_class and issubclass(thing, BaseException):
                continue  # it is raised about an input, and reads none
            told[f"{module.__name__}.{name}"] = {
                "name": f"{module.__name__}.{name}",
                "own": getattr(thing, "__qualname__", name).split(".")[-1],
                "class": is_class,
                "params": parameters(thing),
                "methods": methods(thing, tops) if is_class else {},
            }
            if is_class:
                for each, what in vars(thing).items():
                    if each.startswith("_") or not isinstance(what, (classmethod, staticmethod)):
                        continue
                    told[f"{module.__name__}.{name}.{each}"] = {
                        "name": f"{module.__name__}.{name}.{each}",
                        "own": each,
                        "class": False,
                        "params": parameters(getattr(thing, each)),
                        "methods": {},
                    }
    return list(told.values())


class Definitions(ast.NodeVisitor):
    """Each definition and each name that a module or class sets, with what it uses."""

    def __init__(self, place):
        self.path = [place]
        self.told = {}

    def tell(self, name, node):
        used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        used |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
        digest = hashlib.sha256(ast.dump(node).encode()).hexdigest()[:16]
        self.told[".".join((*self.path, name))] = [digest, sorted(used)]

    def visit_FunctionDef(self, node):
        body = node.body
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            node.body = body[1:] or [ast.Pass()]
        self.tell(node.name, node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        self.path.append(node.name)
        for each in node.body:
            self.visit(each)
        self.path.pop()

    def visit_Assign(self, node):
        for target in node.targets:
            for each in ast.walk(target):
                if isinstance(each, ast.Name):
                    self.tell(each.id, node)

    def visit_AnnAssign(self, node):
        if isinstance(node.target, ast.Name):
            self.tell(node.target.id, node)


def definitions(tops):
    """What every source file of the package defines."""
    told = {}
    for top in tops:
        root = Path("/build", top)
        files = sorted(root.rglob("*.py")) if root.is_dir() else [Path(f"/build/{top}.py")]
        for file in files[:MOST_MODULES]:
            place = file.relative_to("/build").as_posix()
            if set(place.split("/")) & SKIPPED or not file.is_file():
                continue
            try:
                found = Definitions(place)
                found.visit(ast.parse(file.read_bytes()))
                told.update(found.told)
            except (SyntaxError, ValueError, RecursionError):
                continue
    names = {name.rsplit(".", 1)[-1] for name in told}
    return {
        name: [digest, [each for each in used if each in names]]
        for name, (digest, used) in told.items()
    }


def main():
    """Survey the package and leave what was found."""
    tops = sys.argv[1:]
    call.put_back_moved_names()
    found, problems = [], []
    for top in tops:
        there, refused = modules(top)
        found += there
        problems += refused
    told = {
        "entries": entries(found, set(tops)),
        "definitions": definitions(tops),
        "problems": problems[:20],
    }
    Path("/out/survey.json").write_text(json.dumps(told), encoding="utf-8")


main()
