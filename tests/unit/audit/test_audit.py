"""Each check finds a planted flaw, says it in numbers, and keeps silent on a clean set."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from provetune.audit import CHECKS, AuditInput, audit
from provetune.chat import TokenRow, encode_training
from provetune.records.data import Example, Finding, Message
from provetune.similarity import example_groups
from provetune.spec import FailOnSpec, TaskSpec

CLASSIFY = TaskSpec(type="classify")
TOPICS = ["cards", "loans", "fees", "cash"]
NOUNS = ["vault", "meadow", "pigeon", "lantern", "harbour", "quartz", "violin", "bakery", "tunnel", "orchid", "kettle", "glacier", "parrot"]
VERBS = ["opens", "borrows", "repairs", "forgets", "paints", "counts", "hides"]


class Letters:
    """A tokenizer of one token a character; 1 begins a turn, 2 ends it."""

    context_length = 120
    stop_ids = frozenset({2})

    def render(self, messages: Sequence[Message], open_turn: bool) -> str:
        text = "".join(f"\x01{message.role}:{message.content}\x02" for message in messages)
        return text + ("\x01assistant:" if open_turn else "")

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(number) for number in ids if number > 2)


TOKENIZER = Letters()


def encode(example: Example) -> TokenRow:
    return encode_training(example.messages, TOKENIZER)


def example(number: int, prompt: str, target: str, system: str | None = None) -> Example:
    head = () if system is None else (Message(role="system", content=system),)
    turns = (*head, Message(role="user", content=prompt), Message(role="assistant", content=target))
    return Example(id=f"r{number}", messages=turns, label=target.strip())


def clean() -> list[Example]:
    """80 rows of four labels, all different."""
    prompts = [f"{noun} {verb} {NOUNS[(place * 5 + 3) % 13]}" for place, noun in enumerate(NOUNS) for verb in VERBS]
    return [example(number, prompt, TOPICS[number % 4]) for number, prompt in enumerate(prompts[:80])]


def inputs(examples: list[Example], test_examples: list[Example] | None = None) -> AuditInput:
    return AuditInput(examples, CLASSIFY, TOKENIZER, encode, example_groups(examples), test_examples)


def found(name: str, given: AuditInput) -> list[Finding]:
    return CHECKS[name](given)


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


@pytest.mark.parametrize("name", CHECKS)
def test_a_clean_set_is_silent(name: str) -> None:
    test_rows = [example(900, "an unrelated question about weather", "cards")]
    assert found(name, inputs(clean(), test_rows)) == []


@pytest.mark.parametrize("name", CHECKS)
def test_no_rows_raise_nothing(name: str) -> None:
    assert found(name, inputs([])) == [] or name == "size"


def test_exact_duplicates() -> None:
    rows = clean()
    rows += [example(100, rows[3].prompt_text.upper() + "!", rows[3].target), example(101, rows[3].prompt_text, rows[3].target)]
    rows += [example(102, rows[5].prompt_text, rows[6].target)]  # another target: a conflict, not a copy
    finding = only(found("exact_duplicates", inputs(rows)))
    assert (finding.severity, finding.count, finding.example_ids) == ("warning", 2, ("r100", "r101"))
    assert "2 rows of 83" in finding.message
    assert "3 times" in finding.message


def test_the_same_words_under_another_system_line_are_no_copy() -> None:
    rows = [*clean(), example(100, "is it good", "cards", "Name the topic"), example(101, "is it good", "loans", "Name the mood")]
    assert found("exact_duplicates", inputs(rows)) == []
    assert found("conflicting_labels", inputs(rows)) == []


@pytest.mark.parametrize(("copies", "severity"), [(3, "info"), (25, "warning")])
def test_near_duplicates(copies: int, severity: str) -> None:
    rows = clean() + [
        example(100 + number, f"please tell me where my new credit card is now {number:02}", "cards") for number in range(copies)
    ]
    finding = only(found("near_duplicates", inputs(rows)))
    assert (finding.severity, finding.count) == (severity, copies)
    assert finding.observed == pytest.approx(copies / len(rows))
    assert "81 different prompts" in finding.message


@pytest.mark.parametrize("twin", ["Vault opens violin?", "vault opens  VIOLIN"])
def test_conflicting_labels_of_equal_prompts(twin: str) -> None:
    rows = [*clean(), example(99, "vault opens violin", "fees"), example(100, twin, "cash")]
    finding = only(found("conflicting_labels", inputs(rows)))
    assert (finding.severity, finding.count, finding.example_ids) == ("warning", 1, ("r99", "r100"))
    assert finding.observed == pytest.approx(1 / 81)
    assert "cash, fees" in finding.message


def test_conflicting_labels_of_nearly_equal_prompts() -> None:
    text = "I would like to know why the payment I made to my landlord yesterday has not arrived in her account"
    rows = [*clean(), example(99, text, "fees"), example(100, text + "s", "cash")]
    assert only(found("conflicting_labels", inputs(rows))).example_ids == ("r99", "r100")


def test_many_conflicts_block() -> None:
    rows = clean()
    rows += [example(200 + number, row.prompt_text, TOPICS[(number + 1) % 4]) for number, row in enumerate(rows[:5])]
    finding = only(found("conflicting_labels", inputs(rows)))
    assert (finding.severity, finding.count) == ("blocker", 5)
    assert only(found("conflicting_labels", inputs(rows[:84]))).severity == "warning"  # 4 of 80 is not above 5 %


def test_leaked_test_rows() -> None:
    text = "I would like to know why the payment I made to my landlord yesterday has not arrived in her account"
    rows = [*clean(), example(99, text, "fees")]
    given = inputs(
        rows, [example(1, rows[4].prompt_text + "!", "cards"), example(2, text + "s", "fees"), example(3, "no twin here", "fees")]
    )
    finding = only(found("leaked_test_rows", given))
    assert (finding.severity, finding.count, finding.example_ids) == ("info", 2, ("r4", "r99"))
    assert "1 equal, 1 nearly equal" in finding.message
    assert "left out" in finding.message
    assert only(found("leaked_test_rows", replace(given, leaked_rows="forbid"))).severity == "blocker"


def test_a_label_seen_once_is_named() -> None:
    finding = only(found("label_counts", inputs([*clean(), example(99, "lonely question", "rare")])))
    assert (finding.severity, finding.count, finding.example_ids) == ("warning", 1, ("r99",))
    assert "rare" in finding.message


def test_a_label_below_a_tenth_of_an_even_share() -> None:
    rows = [example(number, f"prompt {number}", "cards") for number in range(98)]
    rows += [example(number, f"prompt {number}", "loans") for number in range(98, 102)]
    finding = only(found("label_counts", inputs(rows)))  # 4 of 102 is below 5 %
    assert (finding.count, finding.threshold, finding.observed) == (1, 0.05, 4.0)
    rows += [example(number, f"prompt {number}", "loans") for number in range(102, 104)]
    assert found("label_counts", inputs(rows)) == []  # 6 of 104 is not


def test_one_label_or_none_blocks() -> None:
    rows = [example(number, f"prompt {number}", "cards") for number in range(60)]
    assert only(found("label_counts", inputs(rows))).severity == "blocker"
    unlabelled = [row.model_copy(update={"label": None}) for row in rows]
    assert "no label" in only(found("label_counts", inputs(unlabelled))).message
    assert found("label_counts", replace(inputs(rows), task=TaskSpec(type="generate"))) == []


def test_a_label_of_the_project_file_that_no_row_has() -> None:
    given = replace(inputs(clean()), task=TaskSpec(type="classify", labels=[*TOPICS, "mortgages"]))
    assert "mortgages" in only(found("label_counts", given)).message


def test_rows_longer_than_the_context() -> None:
    rows = [*clean(), example(99, "long " * 30, "cards"), example(100, "longer " * 40, "cards")]
    finding = only(found("lengths", inputs(rows)))
    assert (finding.severity, finding.count, finding.example_ids) == ("blocker", 2, ("r100", "r99"))
    assert "120 tokens" in finding.message
    many = rows[:81] + [example(200 + number, f"short {number}", "fees") for number in range(40)]
    assert only(found("lengths", inputs(many))).severity == "warning"  # 1 of 121
    assert only(found("lengths", replace(inputs(many), fail_on=FailOnSpec(truncated_share=0.0)))).severity == "blocker"


def test_the_token_profile_counts_every_token() -> None:
    rows = [example(1, "ab", "yes"), example(2, "abcd", "no"), example(3, "x" * 200, "no")]
    profile = audit(inputs(rows), "data").tokens
    assert profile is not None
    # begin + "user:" + prompt + end + begin + "assistant:" + target + end
    lengths = [1 + 5 + prompt + 1 + 1 + 10 + target + 1 for prompt, target in ((2, 3), (4, 2), (200, 2))]
    assert (profile.median, profile.longest, profile.total) == (lengths[1], lengths[2], sum(lengths))
    assert profile.supervised_total == 4 + 3 + 3
    assert (profile.over_context, profile.context_length, profile.tokenizer) == (1, 120, "unnamed")


def relabelled(change: Callable[[TokenRow], TokenRow]) -> AuditInput:
    """A clean set of which one row is encoded wrongly."""
    return replace(inputs(clean()), encode=lambda row: change(encode(row)) if row.id == "r7" else encode(row))


def shifted(row: TokenRow) -> TokenRow:
    return TokenRow(row.ids, np.roll(row.labelled, -1))


def without_stop(row: TokenRow) -> TokenRow:
    return TokenRow(row.ids, row.labelled & (row.ids != 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: TokenRow(row.ids, np.zeros_like(row.labelled)), "no token is trained on"),
        (lambda row: TokenRow(row.ids, np.ones_like(row.labelled)), "every token is trained on"),
        (shifted, "not the assistant's text"),
        (without_stop, "would never stop"),
    ],
)
def test_a_wrong_loss_mask_blocks(change: Callable[[TokenRow], TokenRow], message: str) -> None:
    finding = only(found("loss_mask", relabelled(change)))
    assert (finding.severity, finding.count, finding.example_ids) == ("blocker", 1, ("r7",))
    assert message in finding.message
    assert "1 row of 80" in finding.message


def test_several_turns_and_weights_are_masked_rightly() -> None:
    turns = [
        ("user", "hi", 1),
        ("assistant", "hello", 0),
        ("user", "topic?", 1),
        ("assistant", "cards", 1),
        ("user", "?", 1),
        ("assistant", "yes", 1),
    ]
    messages = tuple(Message.model_validate({"role": role, "content": text, "weight": weight}) for role, text, weight in turns)
    row = Example(id="chat", messages=messages)
    assert found("loss_mask", inputs([row])) == []
    all_turns = replace(
        inputs([row]), encode=lambda row: encode_training([m.model_copy(update={"weight": 1}) for m in row.messages], TOKENIZER)
    )
    assert "['hello', 'cards', 'yes'], wanted ['cards', 'yes']" in only(found("loss_mask", all_turns)).message


@pytest.mark.parametrize(
    ("prompt", "target", "severity", "message"),
    [
        ("  ", "cards", "warning", "an empty prompt"),
        ("a question", " ", "warning", "an empty target"),
        ("a question", " cards", "info", "spaces or line ends"),
        ("a question", "cards\n", "info", "spaces or line ends"),
        ("a \x00 question", "cards", "warning", "control or replacement"),
        ("caf\ufffd", "cards", "warning", "control or replacement"),
        ("a<br/>question", "cards", "info", "HTML"),
        ('see <a href="x.html">this</a>', "cards", "info", "HTML"),
        ("fish &amp; chips", "cards", "info", "HTML"),
    ],
)
def test_format_faults(prompt: str, target: str, severity: str, message: str) -> None:
    finding = only(found("format", inputs([*clean(), example(99, prompt, target)])))
    assert (finding.severity, finding.count, finding.example_ids) == (severity, 1, ("r99",))
    assert message in finding.message


@pytest.mark.parametrize("prompt", ["if a<b and b>c", "x & y; z", "tabs\tand\nlines", "<unk> token", "日本語 👍"])
def test_ordinary_text_is_no_format_fault(prompt: str) -> None:
    assert found("format", inputs([*clean(), example(99, prompt, "cards")])) == []


def test_size() -> None:
    finding = only(found("size", inputs(clean()[:49])))
    assert (finding.severity, finding.count) == ("warning", 49)
    assert "24 rows to test on" in finding.message
    assert "cannot be proven" in finding.message
    with_test = inputs(clean()[:40], [example(900 + number, f"test {number}", "cards") for number in range(80)])
    assert "about 14 points" in only(found("size", with_test)).message  # Connor's formula for 80 pairs
    assert found("size", inputs(clean()[:50])) == []
    assert only(found("size", inputs([]))).severity == "blocker"
    assert only(found("size", replace(inputs(clean()), fail_on=FailOnSpec(min_examples=100)))).severity == "blocker"


def test_a_finding_carries_at_most_50_ids_and_the_full_count() -> None:
    rows = [example(number, f"prompt <b>{number}</b>", TOPICS[number % 4]) for number in range(120)]
    finding = only(found("format", inputs(rows)))
    assert (len(finding.example_ids), finding.count) == (50, 120)


def test_the_report_puts_blockers_first_and_encodes_each_row_once() -> None:
    rows = [*clean(), example(99, "vault opens violin", " fees"), example(100, "vault opens  violin", " fees")]
    seen: list[str] = []

    def counted(row: Example) -> TokenRow:
        seen.append(row.id)
        return TokenRow(encode(row).ids, np.zeros(len(encode(row)), dtype=bool))

    report = audit(replace(inputs(rows), encode=counted), "data")
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=["blocker", "warning", "info"].index)
    assert [finding.check for finding in report.blockers] == ["loss_mask"]
    assert sorted(seen) == sorted(row.id for row in rows)
    assert report.label_counts == {"cards": 20, "cash": 20, "fees": 22, "loans": 20} == dict(sorted(report.label_counts.items()))
    assert (report.dataset, report.count, report.task) == ("data", 82, "classify")
    assert report.groups == {"r99": "r99", "r100": "r99"}
    assert type(report).from_json(report.to_json()) == report


def test_every_finding_says_what_to_do() -> None:
    rows = clean()[:20] + [example(99, "vault <b>opens violin", " fees"), example(100, "vault <b>opens  violin", "cash")]
    findings = audit(inputs(rows, rows[:3]), "data").findings
    assert len({finding.check for finding in findings}) >= 5
    assert all(finding.remedy.endswith((".", ")")) and finding.message.endswith(".") for finding in findings)


def test_without_a_tokenizer_the_rest_is_still_audited() -> None:
    report = audit(replace(inputs(clean()[:10]), tokenizer=None, encode=None), "data")
    assert report.tokens is None
    assert [finding.check for finding in report.findings] == ["size"]


def test_banking77(public_data: Path) -> None:
    def read(name: str) -> list[Example]:
        with (public_data / "banking77" / name).open(encoding="utf-8", newline="") as file:
            return [example(number, row["text"], row["category"]) for number, row in enumerate(csv.DictReader(file), start=2)]

    rows = read("train.csv")
    given = AuditInput(rows, CLASSIFY, None, None, example_groups(rows), read("test.csv"))
    report = audit(given, "banking77")
    counts = {finding.check: finding.count for finding in report.findings}
    assert counts["exact_duplicates"] == 12
    assert "11 equal" in next(finding.message for finding in report.findings if finding.check == "leaked_test_rows")
    assert "touching 22 of its 3,080 rows" in next(finding.message for finding in report.findings if finding.check == "leaked_test_rows")
    assert (len(report.label_counts), min(report.label_counts.values()), max(report.label_counts.values())) == (77, 35, 187)
    assert report.blockers == ()
    # none of the equal prompts has two labels; the one conflict is between nearly equal ones
    assert counts["conflicting_labels"] == 1
