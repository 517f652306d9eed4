"""What a change does to written files is seen: names, modes, contents, and members of archives."""

from __future__ import annotations

from collections.abc import Sequence

from clearhold.patches.writing import by_tests
from clearhold.ports.sandbox import Job, Limits
from clearhold.validation import leavings
from clearhold.validation.builder import Laboratory
from clearhold.validation.leavings import Left, agreed, changes
from clearhold.validation.suite import SuiteRun

# What a hostile command leaves is listed as well: nothing is followed or opened that is no file.
WRITES = """\
import gzip, os, tarfile, time, zipfile
os.mkdir('made'); os.chmod('made', 0o700)
open('made/a', 'w').write('one'); os.chmod('made/a', 0o640); os.utime('made/a', (86400, 86400))
os.symlink('/etc/passwd', 'made/link'); os.mkfifo('made/pipe')
open('secret', 'w').write('x'); os.chmod('secret', 0)
with zipfile.ZipFile('a.zip', 'w') as made:
    made.writestr(zipfile.ZipInfo('old', (1999, 1, 2, 3, 4, 6)), 'x')
    made.writestr(zipfile.ZipInfo('new', time.gmtime()[:6]), os.urandom(4))
with gzip.GzipFile('a.tar.gz', 'w', mtime=0) as packed, tarfile.open(fileobj=packed, mode='w') as made:
    entry = tarfile.TarInfo('b'); entry.mtime = 7200; entry.mode = 0o604
    made.addfile(entry)
open('broken.zip', 'wb').write(b'PK\\x03\\x04' + b'x' * 40)
open('draws-' + os.urandom(4).hex(), 'w').close()
"""


def _left(laboratory: Laboratory, program: str) -> tuple[Left, int | None]:
    outcome = laboratory.run(
        leavings.listed(Job(argv=("/usr/bin/python3", "-c", program), limits=Limits(wall_s=20)))
    )
    left = leavings.read(outcome)
    assert left is not None
    return left, outcome.exit_code


def _changed(before: Sequence[Left], after: Sequence[Left]) -> set[tuple[str, str]]:
    return {(each.place, each.how) for each in changes(agreed(before), after)}


def test_what_two_runs_leave_alike_is_told_by_place(laboratory: Laboratory) -> None:
    first, code = _left(laboratory, WRITES)
    assert code == 0
    second, _ = _left(laboratory, WRITES)
    alike = agreed([first, second])
    made = alike.places["/work/made/a"]
    assert (made["mode"], made["time"], made["size"]) == ("0o640", "86400", "3")
    assert alike.places["/work/made"] == {"kind": "directory", "mode": "0o700"}
    assert alike.places["/work/made/link"] == {"kind": "link", "target": "/etc/passwd"}
    assert alike.places["/work/made/pipe"]["kind"] == "special"
    assert alike.places["/work/secret"]["mode"] == "0o0"
    assert alike.places["/work/a.zip!old"]["time"] == "915246246"
    assert alike.places["/work/a.zip!new"]["time"] == "now"
    assert "content" not in alike.places["/work/a.zip!new"]
    assert (
        alike.places["/work/a.tar.gz!b"] | {"mode": "0o604", "time": "7200"}
        == (alike.places["/work/a.tar.gz!b"])
    )
    assert not any("draws-" in name for name in alike.places)
    later = WRITES.replace("time.gmtime()[:6]", "time.gmtime(time.time() + 7200)[:6]")
    told = changes(alike, [_left(laboratory, later)[0] for _ in range(2)])
    assert [(each.place, each.how) for each in told] == [("/work/a.zip!new", "time")]
    assert "the time of /work/a.zip!new was now and is " in told[0].words


def test_the_list_ends_as_the_command_and_after_what_it_left_running(
    laboratory: Laboratory,
) -> None:
    left, code = _left(
        laboratory,
        "import os, time\nif not os.fork():\n  open('a', 'w').close(); time.sleep(60)\n"
        "while not os.path.exists('a'): pass\nos._exit(3)\n",
    )
    assert (code, set(left.places)) == (3, {"/work/a"})
    ended = laboratory.run(
        leavings.listed(Job(argv=("/bin/sh", "-c", "kill -SEGV $$"), limits=Limits(wall_s=20)))
    )
    assert ended.signal == 11


def test_a_killed_or_forged_list_is_none(laboratory: Laboratory) -> None:
    forged = '{"whole": true, "places": {}}'
    killed = laboratory.run(
        leavings.listed(
            Job(
                argv=("/bin/sh", "-c", f"echo '{forged}' >/out/leavings.json; kill -9 $PPID"),
                limits=Limits(wall_s=20),
            )
        )
    )
    assert killed.signal == 9
    assert leavings.read(killed) == Left({}, ended=True)
    plain, _ = _left(laboratory, "open('/out/leavings.json', 'w').write('forged')")
    assert plain.places == {}


def _of(**facts: str) -> Left:
    return Left({"/work/f": facts, "/work/other": {"mode": "1"}})


def test_what_differs_by_itself_says_nothing() -> None:
    alike = [_of(mode="1", content="a"), _of(mode="1", content="b")]
    assert _changed(alike, [_of(mode="1", content="c")]) == set()
    assert _changed(alike, [_of(mode="2", content="c")]) == {("/work/f", "mode")}
    assert _changed(alike, [_of(mode="2", content="c"), alike[0]]) == set()


def test_what_is_gone_or_new_is_told_but_where_names_are_drawn() -> None:
    one, other = Left({"/work/a": {}}), Left({"/work/b": {}})
    both = Left({"/work/a": {}, "/work/b": {}})
    assert _changed([both, both], [one]) == {("/work/b", "gone")}
    assert _changed([one, one], [both]) == {("/work/b", "new")}
    assert _changed([one, other], [Left({"/work/c": {}})]) == set()
    assert _changed([one, one], [Left({}, whole=False)]) == {
        ("", "more files are left than are listed")
    }
    assert _changed([one, one], [Left({}, ended=True)]) == {
        ("", "what lists its files is ended by the run")
    }
    assert _changed([one, one], [Left({}, ended=True), one]) == set()


def _suite(left: Left | None) -> SuiteRun:
    return SuiteRun(frozenset(), frozenset(), frozenset(), "", 0.0, left=left)


def test_what_holds_the_time_is_no_change_though_two_runs_were_quick() -> None:
    quick = [_suite(_of(mode="1", content="10:01"))] * 2
    ran = [_suite(_of(mode="1", content="10:02"))]
    later = _suite(_of(mode="1", content="10:03"))
    assert by_tests(quick, ran, (lambda: later, lambda: ran[0])) == ("", "")
    worse = [_suite(_of(mode="2", content="10:02"))]
    told, _ = by_tests(quick, worse, (lambda: later, lambda: worse[0]))
    assert told == "the mode of /work/f was 1 and is 2"
    assert by_tests(quick, [_suite(None)], (lambda: later, lambda: later))[1]
    once = by_tests(quick, worse, (lambda: later, lambda: later))
    assert once == ("", "")
