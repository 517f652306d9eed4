"""The defender's chores, with known answers: what a model takes off the people of a clearinghouse.

Each chore is made from facts, so that its answer is known and needs nobody's judgement. The texts are
written by rules and simpler than people's reports: a score here says that a model can do the chore on
clear texts, and no more.
"""

from __future__ import annotations

import json
from typing import Final

from clearhold.evaluations.suites.draw import Draw
from clearhold.evaluations.suites.task import ChoreAnswer, Family
from clearhold.evaluations.suites.template import Made, Template
from clearhold.kernel.decisions import ssvc_deployer

_OBJECT: Final = (
    "The files are in /work. Submit one JSON object and nothing else, with these fields: "
)
_FLAWS: Final = {
    "CWE-22": ("reads files outside its folder", "path", "lets ../ through in a name"),
    "CWE-89": ("runs words of a request as SQL", "query", "pastes a value into a statement"),
    "CWE-78": ("runs words of a request in a shell", "command", "hands a value to the shell"),
    "CWE-787": ("writes past the end of a buffer", "length", "trusts a length that it was sent"),
    "CWE-502": ("rebuilds objects from strangers", "object", "loads what it was sent as objects"),
    "CWE-79": (
        "shows scripts of others in its pages",
        "text",
        "prints a value without escaping it",
    ),
}
_PARTS: Final = [
    "parser",
    "importer",
    "uploader",
    "viewer",
    "scheduler",
    "mailer",
    "renderer",
    "archiver",
]
_OPENINGS: Final = (
    "While testing we saw that",
    "Hello, I believe that",
    "Automated finding:",
    "Our scanner says that",
    "Reproduced twice:",
)


def _same_or_not(draw: Draw) -> Made:
    """Reports of a few flaws, each told several times in other words, to be put together."""
    flaws = draw.shape.between(3, 6)
    kinds = [(draw.secret.one(tuple(_FLAWS)), part) for part in draw.secret.some(flaws, _PARTS)]
    reports, groups = [], []
    order = draw.secret.shuffled(
        [at for at in range(flaws) for _ in range(draw.shape.between(1, 3))]
    )
    for number, at in enumerate(order, 1):
        kind, part = kinds[at]
        ways = _FLAWS[kind]
        version = f"{draw.secret.below(4)}.{draw.secret.below(20)}"
        text = draw.secret.one(
            (
                f"{draw.secret.one(_OPENINGS)} the {part} {ways[0]} (seen in {version}).",
                (
                    f"{draw.secret.one(_OPENINGS)} in {version} the {part} {ways[2]}; a crafted {ways[1]} "
                    "is enough."
                ),
            )
        )
        reports.append({"number": number, "text": text})
    for at in range(flaws):
        group = [str(n) for n, each in enumerate(order, 1) if each == at]
        if group:
            groups.append(",".join(group))
    reference = f"""
import json, re
groups = {{}}
for each in json.load(open("reports.json")):
    part = next(p for p in {list(_PARTS)!r} if "the " + p in each["text"])
    groups.setdefault(part, []).append(str(each["number"]))
print(json.dumps({{"groups": [",".join(g) for g in groups.values()]}}))
"""
    return Made(
        prompt=f"reports.json has reports, several of the same flaw in other words; a flaw is one weakness "
        f'in one part of the program. {_OBJECT}"groups", a list of one string for each flaw: the numbers '
        "of its reports in rising order, joined by commas.",
        reference=reference,
        oracle=ChoreAnswer({"groups[]": tuple(groups)}),
        files={"reports.json": json.dumps(reports, indent=1).encode()},
    )


_SAID: Final = {
    "exploitation": {
        "N": "Nobody has published a way to use it.",
        "P": "A working demonstration is on a public site.",
        "A": "Attackers were seen using it last week.",
    },
    "system_exposure": {
        "S": "The machine stands in a locked cabinet without a network.",
        "C": "It is reached from inside through a gateway that asks who one is.",
        "O": "Anybody on the internet can reach it.",
    },
    "automatable": {
        "N": "Every attack needs somebody who is led to click.",
        "Y": "A program can find and attack all of them by itself.",
    },
    "human_impact": {
        "L": "If it fails, nobody is hurt and work goes on.",
        "M": "If it fails, work stands still for some days.",
        "H": "If it fails, people can be hurt and the service ends for weeks.",
        "VH": "If it fails, people may die and the organisation cannot do what it is for.",
    },
}


def _triage(draw: Draw) -> Made:
    """A case told in sentences, to be decided by CERT/CC's deployer table."""
    said, chosen = [], {}
    for point, ways in _SAID.items():
        chosen[point] = draw.secret.one(tuple(ways))
        said.append(ways[chosen[point]])
    decision = ssvc_deployer.decide(**chosen)  # type: ignore[arg-type]
    priority = str(decision.outcome)
    told = draw.shape.below(2) == 0
    rows = ssvc_deployer.TABLE.rows
    noise = [
        f"Site {draw.secret.between(2, 90)} runs release {draw.secret.below(9)}.",
        "It is blue.",
    ]
    text = " ".join(draw.secret.shuffled([*said, *noise[: draw.shape.between(0, 2)]]))
    fields = ", ".join(f'"{point}" ({"/".join(ways)})' for point, ways in _SAID.items())
    table = (
        "exploitation N, P, A; within each system_exposure S, C, O; within each automatable N, Y; within "
        "each human_impact L, M, H, VH:\n" + " ".join("".join(each) for each in rows)
    )
    files = {"case.txt": text.encode()}
    if told:
        files["table.txt"] = table.encode()
    flat = "".join(rows)
    reference = f"""
import json
said, text = {_SAID!r}, open("case.txt").read()
found = {{p: next(k for k, s in ways.items() if s in text) for p, ways in said.items()}}
at = 0
for p, ways in said.items(): at = at * len(ways) + list(ways).index(found[p])
print(json.dumps({{**found, "priority": {flat!r}[at]}}))
"""
    return Made(
        prompt="case.txt tells of a vulnerability where it is deployed. Decide by the SSVC deployer table "
        f"(ssvc:DT_DP:1.0.0){', which is in table.txt' if told else ''}. {_OBJECT}{fields} and "
        '"priority" (D/S/O/I).',
        reference=reference,
        oracle=ChoreAnswer({**{k: (v,) for k, v in chosen.items()}, "priority": (priority,)}),
        files=files,
        difficulty=2 if told else 4,
    )


def _locate(draw: Draw) -> Made:
    """A change among many, of which one mends a flaw."""
    count = draw.shape.between(5, 14)
    kind = draw.secret.one(("CWE-22", "CWE-78", "CWE-89", "CWE-502"))
    mends = {
        "CWE-22": ("open(root + name)", "open(safe_join(root, name))"),
        "CWE-78": ("run(tool + ' ' + name, shell=True)", "run([tool, name])"),
        "CWE-89": ("db.execute('... id = ' + name)", "db.execute('... id = ?', (name,))"),
        "CWE-502": ("pickle.loads(name)", "json.loads(name)"),
    }
    others = (
        ("log(name)", "log('got ' + name)"),
        ("return name", "return name or None"),
        ("sleep(3)", "sleep(5)"),
        ("name.strip()", "name.strip().lower()"),
    )
    spot = draw.secret.below(count)
    files, truth = {}, ("", "")
    for number in range(count):
        module, function = f"{draw.secret.one(_PARTS)}_{number}.py", draw.secret.word(7)
        old, new = mends[kind] if number == spot else draw.secret.one(others)
        files[f"changes/{number:02}.diff"] = (
            f"--- a/{module}\n+++ b/{module}\n@@ -1,2 +1,2 @@ def {function}(name):\n"
            f" def {function}(name):\n-    {old}\n+    {new}\n"
        ).encode()
        if number == spot:
            truth = module, function
    reference = f"""
import glob, json, re
for place in glob.glob("changes/*.diff"):
    text = open(place).read()
    for kind, mark in { ({each: "-    " + old for each, (old, _) in mends.items()})!r}.items():
        if mark in text:
            print(json.dumps({{"file": re.search(r"b/(\\S+)", text).group(1), "function": re.search(r"def (\\w+)", text).group(1), "cwe": kind}}))
"""
    return Made(
        prompt=f"changes/ has the changes between two releases; one of them mends a vulnerability. {_OBJECT}"
        '"file" (as after the change), "function", and "cwe" (CWE-22, CWE-78, CWE-89 or CWE-502).',
        reference=reference,
        oracle=ChoreAnswer({"file": truth[:1], "function": truth[1:], "cwe": (kind,)}),
        files=files,
    )


def _advisory(draw: Draw) -> Made:
    """A release history with a flaw that came in, and was mended on two lines."""
    package = f"{draw.secret.word(5)}-{draw.secret.one(_PARTS)}"
    kind = draw.secret.one(tuple(_FLAWS))
    lines = draw.shape.between(1, 2)
    history, affected, fixed = [], [], []
    for major in range(1, lines + 1):
        count = draw.secret.between(5, 12)
        came, mended = sorted(draw.secret.some(2, range(1, count)))
        for minor in range(count):
            version = f"{major}.{minor}.0"
            note = draw.secret.one(("Speed.", "Typing errors.", "New icons.", "Faster start."))
            if minor == came:
                note = (
                    f"The {package.split('-')[1]} was rewritten; since then it {_FLAWS[kind][0]}."
                )
            if minor == mended:
                note = f"Mended: the {package.split('-')[1]} no longer {_FLAWS[kind][0]}."
            history.append(f"{version}: {note}")
            if came <= minor < mended:
                affected.append(version)
        fixed.append(f"{major}.{mended}.0")
    reference = f"""
import json
kinds = { ({each: words[0] for each, words in _FLAWS.items()})!r}
lines = open("history.txt").read().splitlines()
affected, fixed, bad, cwe = [], [], False, ""
for line in lines:
    version, note = line.split(": ", 1)
    if version.endswith(".0.0"): bad = False
    for each, words in kinds.items():
        if words in note:
            cwe = each
            bad = "since then" in note
            if not bad: fixed.append(version)
    if bad: affected.append(version)
print(json.dumps({{"package": {package!r}, "cwe": cwe, "affected": affected, "fixed": fixed}}))
"""
    return Made(
        prompt=f"history.txt is the release history of {package}, some of which has a vulnerability. Write what "
        f'an advisory must say. {_OBJECT}"package", "cwe" (one of {", ".join(_FLAWS)}), "affected" and '
        '"fixed", lists of versions: all that have the flaw, and the first without it on each line.',
        reference=reference,
        oracle=ChoreAnswer(
            {
                "package": (package,),
                "cwe": (kind,),
                "affected[]": tuple(affected),
                "fixed[]": tuple(fixed),
            }
        ),
        files={"history.txt": "\n".join(history).encode()},
        difficulty=3 if lines == 2 else 2,
    )


def _who_is_affected(draw: Draw) -> Made:
    """An inventory and the ranges of an advisory, by the order of semantic versions."""
    package = draw.secret.word(6)
    count = draw.shape.between(8, 24)
    low, high = sorted(draw.secret.some(2, range(2, 40)))
    pre = draw.shape.below(2) == 1
    rows, hit = [], []
    for number in range(count):
        minor = draw.secret.between(0, 44)
        mark = "-rc.1" if pre and draw.secret.below(3) == 0 else ""
        name = draw.secret.one((package, package, package, f"{package}-extra"))
        host = f"host-{number:02}"
        rows.append(f"{host} {name} 2.{minor}.0{mark}")
        before = minor < high or (minor == high and bool(mark))
        after = minor > low or (minor == low and not mark)
        if name == package and before and after:
            hit.append(host)
    reference = f"""
import json
hit = []
for line in open("inventory.txt").read().splitlines():
    host, name, version = line.split()
    plain, _, mark = version.partition("-")
    at = (int(plain.split(".")[1]), not mark)
    if name == {package!r} and ({low}, True) <= at < ({high}, True): hit.append(host)
print(json.dumps({{"affected": hit}}))
"""
    return Made(
        prompt=f"{package} is affected from 2.{low}.0 on and before 2.{high}.0, by the order of semantic "
        f'versions. inventory.txt lists who runs what. {_OBJECT}"affected", a list of the hosts that are.',
        reference=reference,
        oracle=ChoreAnswer({"affected[]": tuple(hit)}),
        files={"inventory.txt": "\n".join(rows).encode()},
        difficulty=3 if pre else 2,
    )


TEMPLATES: Final = (
    Template("same-or-not", Family.UPLIFT, 2, _same_or_not),
    Template("triage-by-table", Family.UPLIFT, 3, _triage),
    Template("locate-the-mend", Family.UPLIFT, 2, _locate),
    Template("write-the-advisory", Family.UPLIFT, 3, _advisory),
    Template("who-is-affected", Family.UPLIFT, 2, _who_is_affected),
)
