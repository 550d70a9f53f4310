"""Rows that hold personal data which can be told by its form."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, counted, once, part_text
from provetune.personal_data import find
from provetune.records.data import Finding, Severity

OPEN = frozenset({"email", "phone", "ip_address", "mac_address", "name", "place"})
"""Kinds that are often meant to be there, as in a signature: a warning. Numbers of cards, accounts and people block."""

_ACTION = {
    "report": "Nothing to do: the project file says that these rows may stay (data.pii.action: report).",
    "mask": "provetune audit --fix writes a file in which they are masked.",
    "drop": "provetune audit --fix writes a file without these rows.",
}
_UNDECIDED = (
    "A tuned model can repeat what it has read: decide with data.pii.action in the project file whether these rows are masked or dropped "
    "(provetune audit --fix does it) or may stay (report)."
)


def personal_data(inputs: AuditInput) -> list[Finding]:
    """One finding for numbers that belong to one person or account, one for addresses and phones.

    Where the project file says nothing the first blocks and the second warns; what it approves is told only, and what it wants masked
    or dropped blocks until that is done.
    """
    found = once(inputs, _places)
    kinds = {False: [kind for kind in found if kind not in OPEN], True: [kind for kind in found if kind in OPEN]}
    return [_finding(inputs, {kind: found[kind] for kind in names}, is_open) for is_open, names in kinds.items() if names]


def _places(inputs: AuditInput) -> dict[str, list[int]]:
    """Kind -> the rows that hold it, most frequent first."""
    wanted = () if inputs.personal_data is None else tuple(inputs.personal_data.kinds)
    found: dict[str, list[int]] = {}
    for place, example in enumerate(inputs.examples):
        texts = [message.text for message in (*example.messages, *example.rejected)]
        hits = {hit.kind for text in texts for hit in find(text, wanted)}
        if inputs.recogniser is not None:
            hits |= {hit.kind for text in texts for hit in inputs.recogniser.find(text)}
        for kind in hits:
            found.setdefault(kind, []).append(place)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def _finding(inputs: AuditInput, found: dict[str, list[int]], is_open: bool) -> Finding:
    places = sorted({place for rows in found.values() for place in rows})
    listed = ", ".join(f"{kind.replace('_', ' ')} {len(rows):,}" for kind, rows in found.items())
    action = None if inputs.personal_data is None else inputs.personal_data.action
    severity: Severity = "info" if action == "report" else "warning" if action is None and is_open else "blocker"
    return Finding(
        check="personal_data",
        severity=severity,
        message=f"{part_text(inputs, len(places))} hold personal data (rows by kind: {listed}). It was told by form and check digit.",
        threshold=0.0,
        remedy=_UNDECIDED if action is None else _ACTION[action],
        **counted(inputs, places),
    )
