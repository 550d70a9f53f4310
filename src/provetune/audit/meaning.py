"""The vectors of the rows, computed once for all checks on meaning."""

from __future__ import annotations

from dataclasses import dataclass

from provetune.audit.inputs import AuditInput, once
from provetune.profile import Values, Vectors, nearest_others
from provetune.similarity import own_texts

NEIGHBOURS = 10


@dataclass(frozen=True)
class Meaning:
    """Vectors of the prompts' own words, in the order of the rows; `test` those of the given test file, if there is one."""

    rows: Vectors
    test: Vectors | None


def meaning(inputs: AuditInput) -> Meaning | None:
    """The vectors; None without an embedder."""
    return once(inputs, _embedded)


def neighbours(inputs: AuditInput) -> Values | None:
    """Cosines of each row to its ten nearest other rows, nearest first, shape (rows, 10); None without an embedder."""
    return once(inputs, _nearest)


def _nearest(inputs: AuditInput) -> Values | None:
    found = meaning(inputs)
    return None if found is None else nearest_others(found.rows, NEIGHBOURS)


def _embedded(inputs: AuditInput) -> Meaning | None:
    if inputs.embedder is None:
        return None
    texts, tests = own_texts(inputs.examples, inputs.test_examples or ())
    inputs.progress("audit: vectors", 0, len(texts))
    # the rows first: an embedder that has to be fitted is fitted to them
    rows = inputs.embedder.embed(texts)
    inputs.progress("audit: vectors", len(texts), len(texts))
    return Meaning(rows, inputs.embedder.embed(tests) if tests else None)
