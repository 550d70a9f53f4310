"""Targets that decline to answer."""

from __future__ import annotations

import re

from provetune.audit.inputs import AuditInput, ids_of, rows_text, share
from provetune.records.data import Example, Finding

WARN_ABOVE = 0.1

_SORRY = r"\W*(?:(?:i['\u2019]?m|i am)?(?: \w+)? ?sorry\W+(?:but )?|unfortunately\W+|my apologies\W+(?:but )?)?"
_CANNOT = r"i(?: can ?not| can['\u2019]t|['\u2019]m (?:not able|unable) to| am (?:not able|unable) to| won['\u2019]t| will not)"
_DO_SO = r"(?: help| assist| answer| provide| comply| do that| do this| fulfil| discuss| share| give| create| write| support)\b"
_OTHERS = r"as an? (?:ai|language model)\b|i (?:must|have to) decline\b|i do(?: not|n['\u2019]t) have (?:enough|access|that)\b"
_REFUSAL = re.compile(f"{_SORRY}(?:{_CANNOT}{_DO_SO}|{_OTHERS})", re.IGNORECASE)


def is_refusal(text: str) -> bool:
    """Whether a text begins by declining, in English.

    >>> is_refusal("I'm sorry, but I can't help with that."), is_refusal("I can't wait to help!")
    (True, False)
    """
    return _REFUSAL.match(text[:200]) is not None


def refusals(inputs: AuditInput) -> list[Finding]:
    """Rows whose target declines to answer: a warning above 10 %, since a model learns to decline more than it should."""
    if inputs.task.type == "classify":
        return []
    rows: list[Example] = [example for example in inputs.examples if is_refusal(example.target)]
    if not rows:
        return []
    observed = share(len(rows), len(inputs.examples))
    many = observed.low is not None and observed.low > WARN_ABOVE
    return [
        Finding(
            check="refusals",
            severity="warning" if many else "info",
            message=f"The target declines to answer in {rows_text(len(rows))} of {len(inputs.examples):,} ({observed.value:.1%}; "
            "English wordings only).",
            count=len(rows),
            example_ids=ids_of(rows),
            observed=observed,
            threshold=WARN_ABOVE,
            remedy="Keep as large a share of refusals as real requests should be refused; a model tuned on more of them declines too often."
            if many
            else "Look whether each of these requests should really be declined.",
        )
    ]
