"""Candidates for flaws in Python and JavaScript."""

from __future__ import annotations

from typing import Final

from benchmarks.patches.flaw import Flaw

_MINIMIST_OPEN: Final = "        var o = obj;\n"
_MINIMIST_DEFAULT: Final = "defaults[key] === undefined ? false : defaults[key]"
_MINIMIST_STEP: Final = "            if (o[key] === {}.__proto__) o[key] = {};\n"
_MINIMIST: Final = {
    # The project's own fix changes what one of its tests asks for, so this one is ours.
    "fix": (
        (
            "index.js",
            _MINIMIST_STEP,
            _MINIMIST_STEP
            + "            var bases = [Array, Number, String, Boolean].map(function (f) { return f.prototype; });\n"
            "            if (typeof o[key] === 'function' || bases.indexOf(o[key]) >= 0) o[key] = {};\n",
        ),
    ),
    "idle": (
        (
            "index.js",
            "    var defaults = opts['default'] || {};",
            "    var defaults = opts['default'] || Object.create(null);",
        ),
    ),
    "broad": (
        ("index.js", _MINIMIST_OPEN, f"{_MINIMIST_OPEN}        if (keys.length > 1) return;\n"),
    ),
    "breaking": (("index.js", _MINIMIST_DEFAULT, "true"),),
    "changing": (
        (
            "index.js",
            "            o[key] = [ o[key], value ];",
            "            o[key] = [ value, o[key] ];",
        ),
    ),
}
_PATH_POSIX: Final = "function posixSplitPath(filename) {\n"
_WHEEL_OLD: Final = "(?P<namever>(?P<name>.+?)-(?P<ver>.+?))"
_SML_RULE: Final = "            (r'(?=\\b(exception)\\b(?!\\'))', Text, ('ename')),\n"
_SML_OF: Final = """\
            (r'(exception|and)\\b(\\s*)(%s)' % symbolicid_re,
             bygroups(Keyword.Reserved, Text, Name.Class)),
            (r'\\b(of)\\b(?!\\')', Keyword.Reserved),
"""

SCRIPTED: Final = (
    Flaw(
        cve="CVE-2021-20270",
        upstream=("pygments/lexers/ml.py",),
        upstream_is="behaviour_changing",
        fix=(
            (
                "pygments/lexers/ml.py",
                _SML_OF,
                _SML_OF + "            (r'\\bexception\\b(?!\\')', Keyword.Reserved),\n",
            ),
        ),
        idle=(
            (
                "pygments/lexers/ml.py",
                "            (r'~?\\d+\\.\\d+', Number.Float),\n            (r'~?\\d+[eE]~?\\d+', Number.Float),\n            (r'~?\\d+', Number.Integer),\n\n            # Labels",
                "            (r'~?[0-9]+\\.[0-9]+', Number.Float),\n            (r'~?\\d+[eE]~?\\d+', Number.Float),\n            (r'~?\\d+', Number.Integer),\n\n            # Labels",
            ),
        ),
        hiding=(
            (
                "pygments/lexers/ml.py",
                _SML_RULE,
                "            (r'\\bexception\\n\\Z', Keyword.Reserved),\n" + _SML_RULE,
            ),
        ),
        broad=(
            (
                "pygments/lexers/ml.py",
                "    filenames = ['*.sml', '*.sig', '*.fun']\n",
                (
                    "    filenames = ['*.sml', '*.sig', '*.fun']\n\n"
                    "    def get_tokens_unprocessed(self, text, stack=('root',)):\n"
                    "        if 'exception' in text:\n"
                    "            raise ValueError('exceptions are not taken')\n"
                    "        return RegexLexer.get_tokens_unprocessed(self, text, stack)\n"
                ),
            ),
        ),
        breaking=(
            (
                "pygments/lexers/ml.py",
                "    filenames = ['*.ml', '*.mli', '*.mll', '*.mly']",
                "    filenames = '*.ml'",
            ),
        ),
        changing=(
            (
                "pygments/lexers/ml.py",
                "            (r'\\b(type|eqtype)\\b(?!\\')', Keyword.Reserved, 'tname'),\n",
                (
                    "            (r'\\b(type|eqtype)\\b(?!\\')', Keyword.Reserved, 'tname'),\n"
                    "            (r'\\b(twice|raise)\\b', String),\n"
                ),
            ),
        ),
    ),
    Flaw(
        cve="CVE-2020-7598",
        hiding=(
            (
                "index.js",
                _MINIMIST_OPEN,
                f"{_MINIMIST_OPEN}        if (keys[0] === 'constructor') return;\n",
            ),
        ),
        second=b'["--a.constructor.prototype.polluted", "yes"]',
        **_MINIMIST,  # type: ignore[arg-type]
    ),
    Flaw(
        cve="CVE-2021-44906",
        hiding=(
            ("index.js", _MINIMIST_OPEN, f"{_MINIMIST_OPEN}        if (keys[0] === '_') return;\n"),
        ),
        second=b'["--constructor.constructor.prototype.polluted", "yes"]',
        **_MINIMIST,  # type: ignore[arg-type]
    ),
    Flaw(
        cve="CVE-2020-36632",
        fix=(
            (
                "index.js",
                "    while (key2 !== undefined) {\n",
                "    while (key2 !== undefined) {\n      if (key1 === '__proto__') return\n",
            ),
        ),
        idle=(
            (
                "index.js",
                "    const parsedKey = Number(key)\n",
                "    if (key === '__proto__') return key\n    const parsedKey = Number(key)\n",
            ),
        ),
        hiding=(
            (
                "index.js",
                "    while (key2 !== undefined) {\n",
                (
                    "    while (key2 !== undefined) {\n"
                    "      if (key1 === '__proto__' && key2 === 'polluted') return\n"
                ),
            ),
        ),
        broad=(
            (
                "index.js",
                "    while (key2 !== undefined) {\n",
                "    while (key2 !== undefined) {\n      if (/proto/.test(key1 + key2)) return\n",
            ),
        ),
        breaking=(
            ("index.js", "  const overwrite = opts.overwrite || false", "  const overwrite = true"),
        ),
        changing=(
            (
                "index.js",
                "      isNaN(parsedKey) ||\n",
                "      isNaN(parsedKey) || key.length < 2 ||\n",
            ),
        ),
    ),
    Flaw(
        cve="CVE-2021-23343",
        upstream=("index.js",),
        idle=(("index.js", "var win32 = {};\n", "var win32 = Object.create(null);\n"),),
        hiding=(
            (
                "index.js",
                _PATH_POSIX,
                _PATH_POSIX
                + "  if (filename.indexOf('a////////////////') === 0) throw new TypeError('bad path');\n",
            ),
        ),
        broad=(
            (
                "index.js",
                _PATH_POSIX,
                _PATH_POSIX + "  if (filename.length > 64) throw new TypeError('too long');\n",
            ),
        ),
        breaking=(
            (
                "index.js",
                "    dir: allParts[0] === allParts[1] ? allParts[0] : allParts[0].slice(0, -1),",
                "    dir: allParts[0],",
            ),
        ),
        changing=(
            (
                "index.js",
                "    dir: allParts[0].slice(0, -1),\n",
                "    dir: allParts[0].slice(0, -1).toUpperCase(),\n",
            ),
        ),
        second=b'{"largest": 100000, "pump": "/", "prefix": "b", "suffix": "b\\n"}',
    ),
    Flaw(
        cve="CVE-2022-40898",
        fix=(
            (
                "src/wheel/wheelfile.py",
                _WHEEL_OLD,
                "(?P<namever>(?P<name>[^-]+?)-(?P<ver>[^-]+?))",
            ),
            (
                "src/wheel/wheelfile.py",
                "-(?P<pyver>.+?)-(?P<abi>.+?)-(?P<plat>.+?)\\.whl$",
                "-(?P<pyver>[^-]+?)-(?P<abi>[^-]+?)-(?P<plat>[^-]+?)\\.whl$",
            ),
        ),
        idle=(
            (
                "src/wheel/wheelfile.py",
                "# Non-greedy matching of an optional build number may be too clever (more\n",
                (
                    "# The name is bounded before it is matched.\n"
                    "LONGEST_NAME = 256\n"
                    "# Non-greedy matching of an optional build number may be too clever (more\n"
                ),
            ),
        ),
        hiding=(
            (
                "src/wheel/wheelfile.py",
                _WHEEL_OLD,
                "(?!--------)" + _WHEEL_OLD,
            ),
        ),
        broad=(
            (
                "src/wheel/wheelfile.py",
                _WHEEL_OLD,
                "(?P<namever>(?P<name>[a-c]{1,20})-(?P<ver>[0-9]{1,3}))",
            ),
        ),
        breaking=(
            (
                "src/wheel/wheelfile.py",
                "        zinfo.external_attr = (stat.S_IMODE(st.st_mode) | stat.S_IFMT(st.st_mode)) << 16",
                "        zinfo.external_attr = stat.S_IMODE(st.st_mode) << 16",
            ),
        ),
        changing=(
            ("src/wheel/wheelfile.py", "(-(?P<build>\\d[^-]*))?", "(-(?P<number>\\d[^-]*))?"),
        ),
        second=b'{"largest": 140, "pump": "-", "prefix": "a"}',
    ),
)
