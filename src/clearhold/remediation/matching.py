"""Which components of an inventory an advisory hits, and what to tell its operator."""

from __future__ import annotations

from datetime import datetime

from clearhold.advisories.model import Advisory, Product
from clearhold.advisories.service import Matter
from clearhold.inventory.model import Holding, plain_name
from clearhold.kernel.matching import Verdict, judge
from clearhold.kernel.purl import Purl
from clearhold.remediation.model import Advice, Hit, Priority


def hits(advisory: Advisory, holding: Holding) -> tuple[Hit, ...]:
    """Every component that is affected or of which that cannot be told; none is dropped.

    A component without a usable package URL counts when it bears the name of an affected package.
    """
    products = {product.package: product for product in advisory.products}
    found = []
    for coordinate in holding.coordinates:
        purl = Purl.parse(coordinate)
        product = products.get(str(purl.package))
        if product is None:
            continue
        judgement = judge(purl.version or "", product.affected)
        if judgement.verdict is not Verdict.NOT_AFFECTED:
            found.append(Hit(coordinate, judgement.verdict, judgement.reason))
    names = {plain_name(product.purl.name) for product in advisory.products}
    found += [
        Hit(
            f"{each.name} {each.version}".strip(),
            Verdict.UNDETERMINED,
            f"It bears the name of an affected package and cannot be matched: {each.reason}",
        )
        for each in holding.left_out
        if plain_name(each.name) in names
    ]
    return tuple(found)


def advise(
    matter: Matter, holding: Holding, found: tuple[Hit, ...], *, priority: Priority
) -> Advice:
    """What to do about `found`, for whoever runs the system."""
    advisory = matter.advisory
    affected = [hit.component for hit in found if hit.verdict is Verdict.AFFECTED]
    doubtful = [hit.component for hit in found if hit.verdict is Verdict.UNDETERMINED]
    names = ", ".join((advisory.id, *advisory.aliases))
    steps = " ".join(product.advice for product in advisory.products)
    if not affected:
        steps = f"Find out which version is installed: {', '.join(doubtful)}. If affected: {steps}"
    return Advice(
        what=f"{steps} ({names}: {advisory.title})",
        where=f"On the system “{holding.name}”: {', '.join((*affected, *doubtful))}.",
        when=_when(priority, matter.starts_at),
        who=(
            "Whoever may change this system. "
            + (
                "The signed patch comes with `clearhold agent sync`; "
                "`clearhold agent apply` installs it once you allow it and reports back."
                if matter.delivered
                else "No patch ready to install comes with it; get it from the vendor."
            )
        ),
        if_you_cannot_patch=_without_patch(advisory.products, priority),
    )


def _when(priority: Priority, starts_at: datetime | None) -> str:
    directive, deployer = priority.directive, priority.deployer
    text = f"{directive.outcome_name.capitalize()} (BOD 26-04); SSVC says {deployer.outcome_name}."
    if starts_at is not None and (due := priority.due(starts_at)) is not None:
        text = f"By {due:%Y-%m-%d %H:%M} UTC: {text[0].lower()}{text[1:]}"
    if directive.outcome == "3DF":
        text += " Save memory, connections and logs of the system before you change it."
    return text


def _without_patch(products: tuple[Product, ...], priority: Priority) -> str:
    names = ", ".join(product.purl.name for product in products)
    exposed = {each.name: each.value for each in priority.directive.inputs}["publicly_exposed"]
    first = (
        "Make it unreachable from public networks"
        if exposed != "N"
        else "Narrow who and what can reach it"
    )
    return (
        f"{first}, keep untrusted input away from {names}, watch it for crashes and restarts, and "
        "report `declined` with the reason and a date on which you will look again."
    )
