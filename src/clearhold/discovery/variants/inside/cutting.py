"""Cuts source into functions: by its braces, or in Python by its indentation.

Stands alone, so that it can be laid beside programs that run inside the sandbox.
"""

import re
from collections.abc import Iterator

RUN = 5
MOST_TOKENS = 20_000

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/|\#[^\n]*)
    |(?P<text>[bBrRuUfFL]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`))
    |(?P<number>\d[\w.]*)
    |(?P<name>[^\W\d]\w*)
    |(?P<sign>->|<<=|>>=|\+\+|--|[-+*/%&|^=!<>]=|&&|\|\||<<|>>|.)""",
    re.DOTALL | re.VERBOSE,
)
KEYWORDS = frozenset(
    [
        "if",
        "else",
        "for",
        "while",
        "do",
        "switch",
        "case",
        "default",
        "break",
        "continue",
        "return",
        "goto",
        "sizeof",
        "struct",
        "union",
        "enum",
        "static",
        "const",
        "unsigned",
        "signed",
        "char",
        "short",
        "int",
        "long",
        "float",
        "double",
        "void",
        "size_t",
        "bool",
        "def",
        "class",
        "try",
        "except",
        "finally",
        "raise",
        "with",
        "as",
        "in",
        "is",
        "not",
        "and",
        "or",
        "None",
        "True",
        "False",
        "lambda",
        "yield",
        "async",
        "await",
        "import",
        "from",
        "del",
        "assert",
        "pass",
        "elif",
        "function",
        "var",
        "let",
        "new",
        "typeof",
        "instanceof",
        "throw",
        "catch",
        "null",
        "true",
        "false",
        "this",
        "undefined",
        "delete",
        "of",
    ]
)
NO_FUNCTION = frozenset(
    ["if", "for", "while", "switch", "catch", "return", "sizeof", "function", "with", "do", "else"]
)
PYTHON = re.compile(r"^([ \t]*)(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)


class Function:
    """A function of a file: its name, its first and last line, and its runs of tokens."""

    def __init__(self, name: str, first: int, last: int, tokens: list[str]) -> None:
        self.name, self.first, self.last = name, first, last
        self.runs = frozenset(
            "\0".join(tokens[at : at + RUN]) for at in range(max(0, len(tokens) - RUN + 1))
        )


def tokens_of(text: str, *, hashes: bool) -> list[tuple[str, str, int]]:
    """The tokens of a text with their kind and line; `hashes` says that # begins a comment."""
    found, line = [], 1
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            break
        kind, piece = match.lastgroup or "", match[0]
        if hashes and piece.startswith(("//", "/*")):
            kind, piece = "sign", piece[:1]
        if kind == "skip" and piece[0] == "#" and not hashes:
            kind = "skip" if line_start(text, at) else "sign"
            if kind == "sign":
                piece = "#"
        if kind != "skip":
            found.append((kind, piece, line))
        line += piece.count("\n")
        at += len(piece)
    return found


def line_start(text: str, at: int) -> bool:
    """Whether only blanks stand before a place on its line, as before what a preprocessor reads."""
    return not text[text.rfind("\n", 0, at) + 1 : at].strip()


def plain(tokens: list[tuple[str, str, int]]) -> list[str]:
    """Tokens without what somebody who copies would change."""
    made = []
    for at, (kind, piece, _) in enumerate(tokens):
        called = at + 1 < len(tokens) and tokens[at + 1][1] == "("
        if kind == "name" and piece not in KEYWORDS:
            made.append(f"{piece}()" if called else "name")
        else:
            made.append(kind if kind in {"text", "number"} else piece)
    return made[:MOST_TOKENS]


def functions(path: str, text: str) -> Iterator[Function]:
    """The functions of a file."""
    if path.endswith((".py", ".pyi")):
        yield from by_indentation(text)
    else:
        yield from by_braces(text)


def by_indentation(text: str) -> Iterator[Function]:
    """The functions of a text in Python."""
    lines = text.split("\n")
    for match in PYTHON.finditer(text):
        first = text.count("\n", 0, match.start(2)) + 1
        deep, last = len(match[1].expandtabs()), first
        for number in range(first, len(lines)):
            line = lines[number].expandtabs()
            if line.strip():
                if len(line) - len(line.lstrip()) <= deep and not line.lstrip().startswith(")"):
                    break
                last = number + 1
        body = tokens_of("\n".join(lines[first - 1 : last]), hashes=True)
        yield Function(match[2], first, last, plain(body[2:]))


def by_braces(text: str) -> Iterator[Function]:
    """The functions of a text in a language with braces."""
    tokens = tokens_of(text, hashes=False)
    closing = partners(tokens)
    for at, (_, piece, first) in enumerate(tokens):
        if piece != "(" or at == 0 or at not in closing:
            continue
        kind, name, _ = tokens[at - 1]
        if name == "function":
            name = named_before(tokens, at - 2)
        elif kind != "name" or name in NO_FUNCTION:
            continue
        behind = closing[at] + 1
        while behind < len(tokens) and tokens[behind][1] in {"const", "noexcept", "override", "=>"}:
            behind += 1
        if behind in closing and tokens[behind][1] == "{":
            end = closing[behind]
            yield Function(name, first, tokens[end][2], plain(tokens[at : end + 1]))


def named_before(tokens: list[tuple[str, str, int]], at: int) -> str:
    """What a function without a name is assigned to."""
    if at >= 1 and tokens[at][1] in {"=", ":"} and tokens[at - 1][0] == "name":
        return tokens[at - 1][1]
    return "function"


def partners(tokens: list[tuple[str, str, int]]) -> dict[int, int]:
    """Where each bracket that is opened is closed, for round and curly ones that match."""
    waiting: list[int] = []
    found = {}
    for at, (_, piece, _) in enumerate(tokens):
        if piece in {"(", "{"}:
            waiting.append(at)
        elif piece in {")", "}"} and waiting:
            if (tokens[waiting[-1]][1], piece) in {("(", ")"), ("{", "}")}:
                found[waiting.pop()] = at
            elif piece == "}":
                while waiting and tokens[waiting[-1]][1] == "(":
                    waiting.pop()
                if waiting:
                    found[waiting.pop()] = at
    return found
