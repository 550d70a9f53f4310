"""What every check gets, and how it reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from provetune.errors import ProvetuneError
from provetune.personal_data import Recogniser
from provetune.protocols import Embedder, Progress, Tokenizer
from provetune.records.data import Example, Finding
from provetune.records.labels import Agreement
from provetune.records.provenance import Source
from provetune.similarity import Alike, alike
from provetune.spec import FailOnSpec, PersonalDataSpec, TaskSpec
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson

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


EncodeRows = Callable[[Sequence[Example]], Sequence[EncodedRow | ProvetuneError]]
"""Tokens of many rows at once: for each its tokens, or why there are none. It may run in two threads."""


class ToxicityClassifier(Protocol):
    """Gives each text a share of toxicity between 0 and 1, and says how it did on HateCheck."""

    @property
    def name(self) -> str:
        """Which model, as a report names it."""
        ...

    @property
    def hatecheck(self) -> Mapping[str, Estimate]:
        """Share of HateCheck's cases judged rightly, by functionality; empty where it was not measured."""
        ...

    def toxicity(self, texts: Sequence[str]) -> Sequence[float]:
        """One share for each text, in order."""
        ...


def _silent(what: str, done: int, total: int) -> None:
    """Progress that nobody asked for."""


@dataclass(frozen=True)
class AuditInput:
    """The rows and what is known about them.

    `groups` is the near-duplicate group number of each example, in order, and `alike` the pairs that they were made of. Without
    `tokenizer` or `encode` the checks on tokens are left out (`encode_rows` is a quicker `encode`, of many rows at once); without
    `test_examples` (the rows of a given test file) so is the one on leaked rows. `fail_on` holds the project's own thresholds.
    Without `embedder` the checks on meaning are left out, without `label_errors` the slow search for wrong labels. `reviewed` tells
    of rows that a person read whether the label was wrong; `json_schema` is what the targets must satisfy. `personal_data` is what
    the project file says of it (None: nothing), `recogniser` finds names, `suites` holds the texts by which other abilities will be
    tested, `toxicity` judges texts where it is given. `sources` are the files that were read, `agreement` is that of the annotators.
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
    embedder: Embedder | None = None
    progress: Progress = _silent
    label_errors: bool = False
    reviewed: Mapping[str, bool] = field(default_factory=dict)
    json_schema: Mapping[str, Any] | None = None
    encode_rows: EncodeRows | None = None
    alike: Alike | None = None
    personal_data: PersonalDataSpec | None = None
    recogniser: Recogniser | None = None
    suites: Mapping[str, Sequence[str]] = field(default_factory=dict)
    toxicity: ToxicityClassifier | None = None
    sources: Sequence[Source] = ()
    agreement: Agreement | None = None
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)


Check = Callable[[AuditInput], list[Finding]]
T = TypeVar("T")


def once(inputs: AuditInput, make: Callable[[AuditInput], T]) -> T:
    """What `make` finds in these inputs, computed for the first who asks: checks and claims share vectors and scores."""
    key = f"{make.__module__}.{make.__qualname__}"
    if key not in inputs.memo:
        inputs.memo[key] = make(inputs)
    found: T = inputs.memo[key]
    return found


def rows_alike(inputs: AuditInput) -> Alike:
    """The pairs of rows that nearly say the same."""
    return inputs.alike if inputs.alike is not None else once(inputs, _alike)


def _alike(inputs: AuditInput) -> Alike:
    return alike(inputs.examples, inputs.progress)


def ids_of(examples: Iterable[Example]) -> tuple[str, ...]:
    """The ids of the first 50 examples."""
    return tuple(example.id for example, _ in zip(examples, range(MAX_IDS), strict=False))


def share(count: int, total: int) -> Estimate:
    """The share of rows that a check found, with Wilson's 95 % interval.

    >>> str(share(3, 80))
    '0.037 [0.013, 0.105], n=80'
    """
    return wilson(count, total)


def counted(inputs: AuditInput, places: Sequence[int]) -> dict[str, Any]:
    """What every finding about some of the rows says: how many, which, and their share of all."""
    rows = ids_of(inputs.examples[place] for place in places)
    return {"count": len(places), "example_ids": rows, "observed": share(len(places), len(inputs.examples))}


def part_text(inputs: AuditInput, count: int) -> str:
    """`3 rows of 80 (3.8%)`."""
    return f"{rows_text(count)} of {len(inputs.examples):,} ({count / len(inputs.examples):.1%})"


def rows_text(count: int) -> str:
    """`1 row`, `2 rows`."""
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def shortened(text: str, length: int = 80) -> str:
    """The first characters of a text, as a message shows it."""
    return text if len(text) <= length else text[: length - 1] + "…"
