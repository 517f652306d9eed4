"""Findings from documents in the formats of advisories: OSV, CSAF 2.0 and CVE JSON 5.

One finding of each vulnerability in each affected product. A product without a package or version
becomes none and is named, unless the submission itself says which package it is about.
"""

from __future__ import annotations

from collections.abc import Sequence

from clearhold.findings.model import Skipped
from clearhold.findings.report import (
    Report,
    Taken,
    checked_text,
    one_line,
    references_of,
    weakness_in,
)
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from clearhold.wire.advisory_report import AdvisoryReport, Product
from clearhold.wire.finding_json import MAX_TITLE, Claim, FindingDocument
from clearhold.wire.severity_vector import CvssScore, score


def take_advisories(stated: Sequence[AdvisoryReport], *, form: str, package: Purl | None) -> Taken:
    """The findings in what a document states; `package` is what the submission says it is about.

    With `package` only products of it count, and its version; without one, every product.
    Raises `InvalidError` when no finding is left.
    """
    reports: list[Report] = []
    skipped: list[Skipped] = []
    for each in stated:
        chosen: dict[str, Product] = {}
        for product in each.products:
            if package is None and product.package is not None:
                chosen.setdefault(str(product.package), product)
            elif package is None:
                skipped.append(Skipped(product.place, product.problem))
            elif product.package is None or product.package.package == package.package:
                chosen.setdefault(str(package), Product(package, product.place))
            else:
                skipped.append(Skipped(product.place, "It is about another package."))
        if package is not None and not each.products:
            chosen[str(package)] = Product(package, each.place)
        reports += [_report(each, product, form) for product in chosen.values()]
    if not reports:
        why = f" {skipped[0].reason}" if skipped else ""
        raise InvalidError(
            f"The {form} document names no affected package with a version.{why}",
            next_step="Give the package with its version, for example pkg:pypi/ujson@5.1.0.",
        )
    return Taken(tuple(reports), tuple(skipped))


def _report(stated: AdvisoryReport, product: Product, form: str) -> Report:
    if product.package is None:
        raise InvalidError(product.problem)
    where = f"the {form} document"
    description = checked_text(stated.description.replace("\r\n", "\n"), where)
    title = one_line(checked_text(stated.title, where)) or one_line(description)
    identity = next((each for each in stated.names if each), "")
    return Report(
        document=FindingDocument(
            package=product.package,
            title=(title or one_line(identity) or "Untitled report")[:MAX_TITLE],
            description=description,
            weakness=weakness_in(*stated.weaknesses),
            target="",
            claim=Claim("other"),
            severity=_scored(stated.severities),
            proof=b"",
            patch="",
            tests="",
            references=references_of(stated.references),
        ),
        locations=(),
        source=f"submitter:{form}",
        place=stated.place,
        places={**stated.places, "package": product.place},
        aliases=tuple(one_line(each)[:100] for each in stated.names[:100]),
    )


def _scored(vectors: Sequence[str]) -> CvssScore | None:
    """The first vector that can be read; one that cannot counts as none, and the raw text stays."""
    for vector in vectors:
        try:
            return score(vector)
        except InvalidError:
            continue
    return None
