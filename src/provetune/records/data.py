"""Records of the data: messages, examples, data sets, audit, split."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from provetune.records.base import Frozen, Record

Role = Literal["system", "user", "assistant", "tool"]
Severity = Literal["info", "warning", "blocker"]


class Message(Frozen):
    """One turn. `weight` 0 keeps an assistant turn out of the loss (OpenAI's key)."""

    role: Role
    content: str
    weight: Literal[0, 1] = 1


class Example(Frozen):
    """One row in canonical form. The last message is the assistant turn that should be written.

    `source` is where the row came from, as `file:line`; `group` ties rows that must not straddle the split.
    """

    id: str
    messages: tuple[Message, ...]
    label: str | None = None
    group: str | None = None
    source: str = ""
    meta: dict[str, str] = Field(default_factory=dict)

    @property
    def target(self) -> str:
        """The text that should be written."""
        return self.messages[-1].content

    @property
    def prompt_messages(self) -> tuple[Message, ...]:
        """All turns before the target."""
        return self.messages[:-1]

    @property
    def prompt_text(self) -> str:
        """The user's words of the prompt, one turn a line (for similarity and display)."""
        return "\n".join(m.content for m in self.prompt_messages if m.role != "system")


class Dataset(Record):
    """A set of examples: the user's file and the SHA-256 of what was read from it; a fix makes a new one with a parent."""

    SCHEMA: ClassVar[str] = "dataset/1"
    path: str
    rows_sha256: str
    count: int
    parent: str | None = None
    change: str | None = None


class Finding(Frozen):
    """What one check saw. `example_ids` are the worst first, at most 50; `count` is the full number."""

    check: str
    severity: Severity
    message: str
    count: int
    example_ids: tuple[str, ...] = ()
    observed: float | None = None
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


class AuditReport(Record):
    """All findings about one data set, and what the next steps take from them."""

    SCHEMA: ClassVar[str] = "audit_report/1"
    dataset: str
    count: int
    task: str
    label_counts: dict[str, int]
    findings: tuple[Finding, ...]
    tokens: TokenProfile | None
    groups: dict[str, str]

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
