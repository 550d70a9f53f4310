"""What every check gets, and how it reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from provetune.protocols import Tokenizer
from provetune.records.data import Example, Finding
from provetune.similarity import normalise
from provetune.spec import FailOnSpec, TaskSpec

MAX_IDS = 50
"""Most example ids that one finding carries."""


class EncodedRow(Protocol):
    """One conversation in tokens: `ids` and, of the same length, whether each token is `labelled` (counts in the loss)."""

    @property
    def ids(self) -> NDArray[np.integer]:
        """Token ids, shape (length,)."""
        ...

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """True at supervised tokens, shape (length,)."""
        ...


@dataclass(frozen=True)
class AuditInput:
    """The rows and what is known about them.

    `groups` is the near-duplicate group number of each example, in order. Without `tokenizer` or `encode` the checks
    on tokens are left out; without `test_examples` (the rows of a given test file) so is the one on leaked rows.
    `fail_on` holds the project's own thresholds.
    """

    examples: Sequence[Example]
    task: TaskSpec
    tokenizer: Tokenizer | None
    encode: Callable[[Example], EncodedRow] | None
    groups: Sequence[int]
    test_examples: Sequence[Example] | None = None
    leaked_rows: Literal["leave-out", "forbid"] = "leave-out"
    fail_on: FailOnSpec = FailOnSpec()
    tokenizer_name: str = "unnamed"


Check = Callable[[AuditInput], list[Finding]]


def ids_of(examples: Iterable[Example]) -> tuple[str, ...]:
    """The ids of the first 50 examples."""
    return tuple(example.id for example, _ in zip(examples, range(MAX_IDS), strict=False))


def prompt_key(example: Example) -> str:
    """Equal for prompts that say the same: system line and user's words in normal form."""
    system = "\n".join(message.content for message in example.prompt_messages if message.role == "system")
    return f"{normalise(system)}\n{normalise(example.prompt_text)}"


def rows_text(count: int) -> str:
    """`1 row`, `2 rows`."""
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
