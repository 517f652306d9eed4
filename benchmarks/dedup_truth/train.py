"""Learn the ranking models from the public truth: `python -m benchmarks.dedup_truth.train`.

Needs numpy and lightgbm, which neither a hub nor the benchmark needs. It writes, under `models/`,
one pair of models for each fold, learned without that fold's projects, and one learned from what
was reported before a day; `splits.json` with the ids of each; and the models that are shipped,
learned from everything. The same input gives the same files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import lightgbm  # type: ignore[import-not-found]
import numpy as np

from benchmarks.dedup_truth.pools import Project, project, rows
from benchmarks.dedup_truth.truth import FOLDS, Issue, archive, fold_of, load
from clearhold.findings.likeness import FEATURES, TIME_FEATURES

SPLIT_DAY: Final = 19_358.0  # 2023-01-01
_HERE: Final = Path(__file__).parent
_SHIPPED: Final = _HERE.parents[1] / "src" / "clearhold" / "findings"
_PARAMETERS: Final[dict[str, Any]] = {
    "objective": "lambdarank",
    "num_leaves": 6,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambdarank_truncation_level": 30,
    "seed": 7,
    "deterministic": True,
    "num_threads": 2,
    "verbose": -1,
}
# Chosen by the five folds.
_BY_TIME: Final[dict[bool, dict[str, Any]]] = {
    True: {
        "num_iterations": 150,
        "learning_rate": 0.03,
        "feature_fraction": 0.3,
        "min_data_in_leaf": 150,
        "lambda_l2": 20,
    },
    False: {
        "num_iterations": 120,
        "learning_rate": 0.05,
        "feature_fraction": 0.5,
        "min_data_in_leaf": 60,
        "lambda_l2": 5,
    },
}


def learn(projects: list[Project], *, timed: bool) -> dict[str, Any]:
    """A model as its file holds it."""
    table: list[list[float]] = []
    labels: list[int] = []
    groups: list[int] = []
    for each in projects:
        for a in range(len(each.issues)):
            same = each.duplicates(a)
            if not same:
                continue
            found = rows(each, a, timed=timed)
            table += found.values()
            labels += [int(b in same) for b in found]
            groups.append(len(found))
    names = [*FEATURES, *(TIME_FEATURES if timed else ())]
    data = lightgbm.Dataset(np.array(table), np.array(labels), group=groups)
    booster = lightgbm.train(_PARAMETERS | _BY_TIME[timed], data)
    trees = [_tree(each["tree_structure"]) for each in booster.dump_model()["tree_info"]]
    return {
        "features": names,
        "trees": trees,
        "provenance": {
            "made_by": "benchmarks/dedup_truth/train.py",
            "learned_from": "OSS-Fuzz vulnerabilities in OSV form, "
            "https://github.com/google/oss-fuzz-vulns, CC-BY-4.0; no record is contained",
            "issues": sum(len(each.issues) for each in projects),
            "queries": len(groups),
            "pairs": len(labels),
        },
    }


def _tree(node: dict[str, Any]) -> dict[str, Any]:
    nodes: list[Any] = []
    leaves: list[float] = []

    def add(each: dict[str, Any]) -> int:
        if "leaf_value" in each:
            leaves.append(float(f"{each['leaf_value']:.5g}"))
            return -len(leaves)
        place = len(nodes)
        nodes.append(None)
        left, right = add(each["left_child"]), add(each["right_child"])
        nodes[place] = [each["split_feature"], float(f"{each['threshold']:.7g}"), left, right]
        return place

    add(node)
    return {"nodes": nodes, "leaves": leaves}


def main() -> int:
    """Write every model and the splits."""
    file = archive()
    if file is None:
        print("The records are not there; see the module's documentation.", file=sys.stderr)
        return 1
    truth = load(file)
    projects = [project(name, issues) for name, issues in sorted(truth.items())]
    for timed in (True, False):
        suffix = "" if timed else "_without_time"
        for fold in range(FOLDS):
            rest = [each for each in projects if fold_of(each.name) != fold]
            _write(_HERE / "models" / f"fold{fold}{suffix}.json", learn(rest, timed=timed))
        early = [project(name, old) for name in sorted(truth) if (old := _early(truth[name]))]
        _write(_HERE / "models" / f"early{suffix}.json", learn(early, timed=timed))
        shipped = "ranker.json" if timed else "ranker_without_time.json"
        _write(_SHIPPED / shipped, learn(projects, timed=timed))
    splits = {
        "attribution": "ids of OSS-Fuzz vulnerabilities, google/oss-fuzz-vulns, CC-BY-4.0",
        "folds": [
            sorted(i.id for p in projects if fold_of(p.name) == fold for i in p.issues)
            for fold in range(FOLDS)
        ],
        "early": sorted(i.id for p in projects for i in _early(p.issues)),
    }
    (_HERE / "splits.json").write_text(json.dumps(splits, separators=(",", ":")) + "\n")
    return 0


def _early(issues: list[Issue]) -> list[Issue]:
    return [issue for issue in issues if issue.day < SPLIT_DAY]


def _write(file: Path, model: dict[str, Any]) -> None:
    file.write_text(json.dumps(model, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    sys.exit(main())
