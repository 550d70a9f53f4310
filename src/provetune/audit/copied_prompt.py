"""Targets that only repeat the prompt."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, ids_of, rows_text, share
from provetune.records.data import Example, Finding
from provetune.similarity import normalise

WARN_ABOVE = 0.05
FEWEST_WORDS = 4
"""Shorter targets are not judged: a name or a number may well stand in the prompt."""
MOST_OF_PROMPT = 0.8
_SHARED = 0.95


def copied_prompt(inputs: AuditInput) -> list[Finding]:
    """Targets of at least four words that hold nearly the whole prompt and nearly nothing else; for written answers only."""
    if inputs.task.type not in ("generate", "chat"):
        return []
    rows = [example for example in inputs.examples if is_copy(example)]
    if not rows:
        return []
    observed = share(len(rows), len(inputs.examples))
    verb = "repeats" if len(rows) == 1 else "repeat"
    return [
        Finding(
            check="copied_prompt",
            severity="warning" if observed.low is not None and observed.low > WARN_ABOVE else "info",
            message=f"The target of {rows_text(len(rows))} of {len(inputs.examples):,} ({observed.value:.1%}) only {verb} the prompt.",
            count=len(rows),
            example_ids=ids_of(rows),
            observed=observed,
            threshold=WARN_ABOVE,
            remedy="Check the columns (data.columns.target) and these rows; a model learns to echo from them.",
        )
    ]


def is_copy(example: Example) -> bool:
    """Whether the target's words are the last user turn's words: 95 % of its word pairs from there, 80 % of the turn covered."""
    asked = next((message.content for message in reversed(example.prompt_messages) if message.role == "user"), "")
    prompt, target = normalise(asked).split(), normalise(example.target).split()
    if len(target) < FEWEST_WORDS or len(target) < MOST_OF_PROMPT * len(prompt):
        return False
    there = set(zip(prompt, prompt[1:], strict=False))
    pairs = list(zip(target, target[1:], strict=False))
    return sum(pair in there for pair in pairs) >= _SHARED * len(pairs)
