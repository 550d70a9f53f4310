"""Which groups of people the rows speak of, and how evenly."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, rows_text, share
from provetune.audit.named_groups import FEWEST_ROWS, different_rows, named_rows
from provetune.records.data import Finding
from provetune.slices import LIMITS
from provetune.stats.proportion import wilson

RARE = 1 / 6
"""Of the rows that name one of two groups, a share below this is uneven: less than one for every five of the other."""
COMPARED = {"gender": ("women", "men"), "age": ("young people", "old people")}
"""Groups that real requests name about equally often, unless the task says otherwise; those of other kinds are only counted."""
_SHOWN = 5


def representation(inputs: AuditInput) -> list[Finding]:
    """How many different rows name which groups; a warning where one gender or age is surely named less than a fifth as often."""
    different = set(different_rows(inputs))
    named = {group: [place for place in places if place in different] for group, places in named_rows(inputs).items()}
    kinds: dict[str, dict[str, list[int]]] = {}
    for (kind, name), places in sorted(named.items(), key=lambda item: -len(item[1])):
        kinds.setdefault(kind, {})[name] = places
    kinds = {kind: groups for kind, groups in kinds.items() if max(map(len, groups.values())) >= FEWEST_ROWS}
    if not kinds:
        return []
    uneven = {kind: rare for kind, groups in kinds.items() if (rare := _rare(kind, groups))}
    first = [place for kind, name in uneven.items() for place in kinds[kind].get(name, [])]
    places = list(dict.fromkeys([*first, *(place for groups in kinds.values() for rows in groups.values() for place in rows)]))
    told = "".join(f" By {kind}, {name} are named less than a fifth as often." for kind, name in uneven.items())
    return [
        Finding(
            check="representation",
            severity="warning" if uneven else "info",
            message=f"Groups of people named in the prompts: {'; '.join(_counts(kind, groups) for kind, groups in kinds.items())}.{told} "
            f"{LIMITS}",
            count=len(places),
            example_ids=tuple(inputs.examples[place].id for place in places[:50]),
            observed=share(len(places), len(different)),
            remedy="Compare this with whom the model will serve. It is neither tuned nor proven for groups that real requests name and "
            "these rows do not: add rows that do.",
        )
    ]


def _rare(kind: str, groups: dict[str, list[int]]) -> str | None:
    """The one of the two compared groups that is surely too rare; None if neither is."""
    compared = COMPARED.get(kind, ())
    for name, other in zip(compared, reversed(compared), strict=True):
        count, total = len(groups.get(name, [])), sum(len(groups.get(one, [])) for one in compared)
        observed = wilson(count, total)
        if len(groups.get(other, [])) >= FEWEST_ROWS and observed.high is not None and observed.high < RARE:
            return name
    return None


def _counts(kind: str, groups: dict[str, list[int]]) -> str:
    shown = ", ".join(f"{name} in {rows_text(len(places))}" for name, places in list(groups.items())[:_SHOWN])
    more = f" and {len(groups) - _SHOWN} more groups" if len(groups) > _SHOWN else ""
    return f"by {kind}: {shown}{more}"
