"""The remedies that need no judgement: they change no meaning, and each names its rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from provetune.audit.inputs import MAX_IDS, AuditInput
from provetune.audit.keys import repeated, row_keys
from provetune.records.data import Example, Message
from provetune.records.fixes import Fix
from provetune.similarity import find_leaks
from provetune.similarity.normal_form import mixed

Mask = Callable[[str], str]
"""A text without its personal data."""

# Zero width space, word joiner, byte order mark, directions forced upon text, control characters but tab and line ends; tag
# characters unless they spell a flag. Joiners (U+200C, U+200D) stay: emoji, Persian and Indian scripts need them.
_INVISIBLE = re.compile(
    "[\u200b\u2060-\u2064\ufeff\u202a-\u202e\u2066-\u2069\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]"
    "|(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0000-\U000e007f]+"
)


@dataclass(frozen=True)
class PersonalDataFix:
    """What the project file asks for: `mask` every text, or `drop` the rows that `mask` would change."""

    mask: Mask
    drop: bool


Step = Callable[[AuditInput], tuple[Fix, list[Example]]]


def safe_fixes(inputs: AuditInput, personal_data: PersonalDataFix | None = None) -> tuple[list[Example], tuple[Fix, ...]]:
    """The rows after all safe remedies, in order, and what each of them did; remedies without a row to mend are left out.

    In this order: invisible characters, personal data (where asked for), empty rows, copies of test rows, repeated rows. Labels
    follow their targets. No row is changed in place, and no row goes without being counted.
    """
    steps: list[Step] = [_without_invisible]
    if personal_data is not None:
        steps.append(lambda given: _without_personal_data(given, personal_data))
    steps += [_without_empty, _without_test_copies, _without_repeats]
    fixes = []
    for step in steps:
        fix, rows = step(inputs)
        if fix.count:
            fixes.append(fix)
            groups = list(range(len(rows)))  # the similarity of rows plays no part here
            inputs = replace(inputs, examples=rows, groups=groups, alike=None)
    return list(inputs.examples), tuple(fixes)


def visible(text: str) -> str:
    r"""The text without characters that nobody sees.

    >>> visible("pass\u200bword\ufeff")
    'password'
    """
    return _INVISIBLE.sub("", text)


def _without_invisible(inputs: AuditInput) -> tuple[Fix, list[Example]]:
    what = "invisible characters (zero width, forced direction, control, tag) are taken out"
    return _rewritten("invisible_characters", what, inputs.examples, visible)


def _without_personal_data(inputs: AuditInput, wanted: PersonalDataFix) -> tuple[Fix, list[Example]]:
    if not wanted.drop:
        return _rewritten("personal_data", "personal data is masked (data.pii.action: mask)", inputs.examples, wanted.mask)
    rows = [example for example in inputs.examples if _changed(example, wanted.mask) is not example]
    return _removal("personal_data", "rows with personal data are removed (data.pii.action: drop)", inputs.examples, rows)


def _without_empty(inputs: AuditInput) -> tuple[Fix, list[Example]]:
    rows = [example for example in inputs.examples if not example.prompt_text.strip() or not example.target.strip()]
    return _removal("empty_rows", "rows without a prompt or a target are removed", inputs.examples, rows)


def _without_test_copies(inputs: AuditInput) -> tuple[Fix, list[Example]]:
    leaks = find_leaks(inputs.examples, inputs.test_examples) if inputs.test_examples and inputs.examples else {}
    rows = [example for example in inputs.examples if example.id in leaks]
    what = "rows that equal or nearly equal a row of the test file are removed; the test file keeps its own"
    return _removal("test_copies", what, inputs.examples, rows)


def _without_repeats(inputs: AuditInput) -> tuple[Fix, list[Example]]:
    keys = row_keys(inputs)
    later = np.zeros(len(inputs.examples), dtype=bool)
    for places in repeated(mixed(keys.prompt) ^ keys.target) if len(later) else []:
        later[places[1:]] = True
    rows = [inputs.examples[place] for place in np.flatnonzero(later).tolist()]
    what = "rows that repeat the prompt and the target of an earlier row are removed; the first one stays"
    return _removal("repeated_rows", what, inputs.examples, rows)


def _removal(name: str, what: str, examples: Sequence[Example], rows: Sequence[Example]) -> tuple[Fix, list[Example]]:
    gone = {example.id for example in rows}
    fix = Fix(name=name, what=what, count=len(rows), removes=True, example_ids=tuple(example.id for example in rows[:MAX_IDS]))
    return fix, [example for example in examples if example.id not in gone]


def _rewritten(name: str, what: str, examples: Sequence[Example], rewrite: Mask) -> tuple[Fix, list[Example]]:
    after = [_changed(example, rewrite) for example in examples]
    ids = [new.id for new, old in zip(after, examples, strict=True) if new is not old]
    return Fix(name=name, what=what, count=len(ids), removes=False, example_ids=tuple(ids[:MAX_IDS])), after


def _changed(example: Example, rewrite: Mask) -> Example:
    """The example with all texts rewritten; itself where none changes. A label stays what the target says."""
    messages = tuple(_changed_message(message, rewrite) for message in example.messages)
    rejected = tuple(_changed_message(message, rewrite) for message in example.rejected)
    if messages == example.messages and rejected == example.rejected:
        return example
    label = None if example.label is None else messages[-1].text.strip()
    return example.model_copy(update={"messages": messages, "rejected": rejected, "label": label})


def _changed_message(message: Message, rewrite: Mask) -> Message:
    text = rewrite(message.content)
    return message if text == message.content else message.model_copy(update={"content": text})
