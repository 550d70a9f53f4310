"""Records of the data: messages, examples, data sets, audit, split."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from provetune.records.base import Frozen, Record
from provetune.records.labels import Agreement
from provetune.stats.estimate import Estimate

Role = Literal["system", "user", "assistant", "tool"]
Severity = Literal["info", "warning", "blocker"]
ClaimName = Literal["relevant", "diverse", "accurate", "unbiased", "enough"]
Outcome = Literal["pass", "fail", "inconclusive"]


def _is_empty(value: object) -> bool:
    """Whether a field is left out of what is written: older records lack it, and the fingerprint of a plain row stays."""
    return value is None or value == () or value == {} or value is False


class ToolCall(Frozen):
    """A function that the assistant calls. `arguments` is a JSON object as text; `id` is empty where the file gives none."""

    name: str
    arguments: str
    id: str = ""


class Message(Frozen):
    """One turn. `weight` 0 keeps an assistant turn out of the loss (OpenAI's key).

    `tools` are the functions that may be called, one JSON Schema text each; they stand on the first message of a conversation, so
    that they go wherever it goes. `developer` marks a system line that the file calls so.
    """

    role: Role
    content: str
    weight: Literal[0, 1] = 1
    name: str | None = Field(default=None, exclude_if=_is_empty)
    tool_calls: tuple[ToolCall, ...] = Field(default=(), exclude_if=_is_empty)
    tool_call_id: str | None = Field(default=None, exclude_if=_is_empty)
    tools: tuple[str, ...] = Field(default=(), exclude_if=_is_empty)
    developer: bool = Field(default=False, exclude_if=_is_empty)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What is at its default is not shown."""
        shown = super().__repr_args__()
        return ((name, value) for name, value in shown if name is None or value != type(self).model_fields[name].default)

    @property
    def text(self) -> str:
        """The content, and below it each tool call as one line of JSON."""
        calls = (f'{{"name": {json.dumps(call.name, ensure_ascii=False)}, "arguments": {call.arguments}}}' for call in self.tool_calls)
        return "\n".join(filter(None, (self.content, *calls))) if self.tool_calls else self.content


class Example(Frozen):
    """One row in canonical form. The last message is the assistant turn that should be written.

    `source` is where the row came from, as `file:line`; `group` ties rows that must not straddle the split. `meta` holds the other
    columns as text; `extra` those that are no text (numbers, nested values), as they stood, so that they can be written back.
    `rejected` is what a preference pair ranks below the last message; `desirable` is the mark of a single rated answer (KTO).
    """

    id: str
    messages: tuple[Message, ...]
    label: str | None = None
    group: str | None = None
    source: str = ""
    meta: dict[str, str] = Field(default_factory=dict)
    rejected: tuple[Message, ...] = Field(default=(), exclude_if=_is_empty)
    desirable: bool | None = Field(default=None, exclude_if=lambda value: value is None)
    parallel_tool_calls: bool | None = Field(default=None, exclude_if=lambda value: value is None)
    extra: dict[str, JsonValue] = Field(default_factory=dict, exclude_if=_is_empty)

    @property
    def target(self) -> str:
        """The text that should be written; tool calls as JSON lines."""
        return self.messages[-1].text

    @property
    def prompt_messages(self) -> tuple[Message, ...]:
        """All turns before the target."""
        return self.messages[:-1]

    @property
    def prompt_text(self) -> str:
        """The user's words of the prompt, one turn a line (for similarity and display)."""
        return "\n".join(m.text for m in self.prompt_messages if m.role != "system")

    @property
    def source_id(self) -> str:
        """Id of the row that this one was made from, as its `source_id` says; its own id for an original."""
        return self._mark("source_id") or self.id

    @property
    def synthetic(self) -> bool:
        """Whether the row says of itself that it was made from another row or by a model (`synthetic`)."""
        return self._mark("synthetic").strip().lower() not in ("", "false", "0", "no", "none")

    def _mark(self, name: str) -> str:
        nested = self.extra.get("meta")
        value = self.meta.get(name) or (nested.get(name) if isinstance(nested, dict) else None)
        return "" if value is None else str(value)


class Dataset(Record):
    """A set of examples: the user's file and the SHA-256 of what was read from it; a fix makes a new one with a parent."""

    SCHEMA: ClassVar[str] = "dataset/1"
    path: str
    rows_sha256: str
    count: int
    parent: str | None = None
    change: str | None = None


class Finding(Frozen):
    """What one check saw. `example_ids` are the worst first, at most 50; `count` is the full number.

    `observed` is what `threshold` limits: an Estimate with its interval where it is a share of the rows, else a plain number.
    """

    check: str
    severity: Severity
    message: str
    count: int
    example_ids: tuple[str, ...] = ()
    observed: Estimate | float | None = None
    threshold: float | None = None
    remedy: str = ""


class TokenProfile(Frozen):
    """Lengths under the model's own tokenizer and template, in tokens."""

    tokenizer: str
    median: int
    p95: int
    longest: int
    total: int
    supervised_total: int
    over_context: int
    context_length: int


class Claim(Frozen):
    """One of the five things that a data set should be. `what` says what `value` is, `limit` what it is held against.

    `value` None means not measured, which is never a pass. `evidence_ids` are at most ten rows to look at, `measures` further
    figures that the reason speaks of.
    """

    name: ClaimName
    outcome: Outcome
    reason: str
    what: str = ""
    value: Estimate | None = None
    limit: float | None = None
    evidence_ids: tuple[str, ...] = ()
    measures: dict[str, Estimate] = Field(default_factory=dict)


class AuditReport(Record):
    """All findings about one data set, and what the next steps take from them; `not_measured` says what nobody looked at.

    `agreement` is that of the people who labelled rows of it, None before they did.
    """

    SCHEMA: ClassVar[str] = "audit_report/1"
    dataset: str
    count: int
    task: str
    label_counts: dict[str, int]
    findings: tuple[Finding, ...]
    tokens: TokenProfile | None
    groups: dict[str, str]
    claims: tuple[Claim, ...] = ()
    not_measured: tuple[str, ...] = ()
    agreement: Agreement | None = Field(default=None, exclude_if=lambda value: value is None)

    @property
    def blockers(self) -> tuple[Finding, ...]:
        """Findings that stop the flow."""
        return tuple(f for f in self.findings if f.severity == "blocker")


class Split(Record):
    """Which example is for what. Test rows live in a file of their own; here stand only their ids and hash."""

    SCHEMA: ClassVar[str] = "split/1"
    dataset: str
    seed: int
    strategy: str
    grouped_by: tuple[str, ...]
    train_ids: tuple[str, ...]
    validation_ids: tuple[str, ...]
    test_ids: tuple[str, ...]
    test_sha256: str
    test_file: str = ""
    test_row_hashes: tuple[str, ...] = ()
    left_out: dict[str, str] = Field(default_factory=dict)
    test_given: bool = False
    smallest_provable_gain: float | None = None
