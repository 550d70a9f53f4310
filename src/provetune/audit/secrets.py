"""Rows that hold keys, tokens or passwords."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, counted, part_text
from provetune.personal_data import find_secrets
from provetune.records.data import Finding


def secrets(inputs: AuditInput) -> list[Finding]:
    """A blocker: whoever asks the tuned model may get them, and whoever reads the file has them already."""
    places = []
    kinds: dict[str, int] = {}
    for place, example in enumerate(inputs.examples):
        hits = {hit.kind for message in (*example.messages, *example.rejected) for hit in find_secrets(message.text)}
        if hits:
            places.append(place)
        for kind in hits:
            kinds[kind] = kinds.get(kind, 0) + 1
    if not places:
        return []
    listed = ", ".join(f"{kind.replace('_', ' ')} {rows:,}" for kind, rows in sorted(kinds.items(), key=lambda item: (-item[1], item[0])))
    return [
        Finding(
            check="secrets",
            severity="blocker",
            message=f"{part_text(inputs, len(places))} hold what looks like a key, token or password (rows by kind: {listed}).",
            threshold=0.0,
            remedy="Revoke them where they were issued, then remove them from the rows or put a made-up value in their place.",
            **counted(inputs, places),
        )
    ]
