"""The same prompt with different labels."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, ids_of, prompt_key
from provetune.records.data import Example, Finding
from provetune.similarity import NEARLY_EQUAL, example_groups, groups

BLOCK_ABOVE = 0.05


def conflicting_labels(inputs: AuditInput) -> list[Finding]:
    """Groups of equal or nearly equal prompts (J >= 0.9) that carry more than one label; a blocker above 5 % of all groups.

    A group here is one prompt with its copies, so a data set without copies has as many groups as rows. Prompts under
    different system lines are different questions and never in conflict.
    """
    labelled = [example for example in inputs.examples if example.label is not None]
    clusters = _prompts(labelled)
    conflicts = sorted((rows for rows in clusters if len({row.label for row in rows}) > 1), key=_disagreement, reverse=True)
    if not conflicts:
        return []
    share = len(conflicts) / len(clusters)
    first = conflicts[0]
    return [
        Finding(
            check="conflicting_labels",
            severity="blocker" if share > BLOCK_ABOVE else "warning",
            message=f"{len(conflicts):,} of {len(clusters):,} different prompts ({share:.1%}) carry more than one label, for example "
            f"{_shortened(first[0].prompt_text)!r}: {', '.join(sorted({str(row.label) for row in first}))}.",
            count=len(conflicts),
            example_ids=ids_of(row for rows in conflicts for row in rows),
            observed=share,
            threshold=BLOCK_ABOVE,
            remedy="Decide which label each of these prompts should have, correct the rows (the ids stand together group by group), "
            "and write the rule into the labelling guideline.",
        )
    ]


def _prompts(examples: list[Example]) -> list[list[Example]]:
    """The rows of each distinct prompt: equal, or joined by J >= 0.9 under the same system line."""
    if not examples:
        return []
    near = example_groups(examples, NEARLY_EQUAL)
    first: dict[tuple[int, str], int] = {}
    equal: dict[str, int] = {}
    links = []
    for row, (example, group) in enumerate(zip(examples, near, strict=True)):
        key = prompt_key(example)
        system = key.partition("\n")[0]
        links += [(first.setdefault((group, system), row), row, 1.0), (equal.setdefault(key, row), row, 1.0)]
    clusters: dict[int, list[Example]] = {}
    for example, number in zip(examples, groups(len(examples), links), strict=True):
        clusters.setdefault(number, []).append(example)
    return list(clusters.values())


def _disagreement(rows: list[Example]) -> tuple[int, int]:
    """Number of labels, then of rows: the worst conflict is the largest."""
    return len({row.label for row in rows}), len(rows)


def _shortened(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
