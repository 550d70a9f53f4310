"""Marks of a careless export: empty parts, stray spaces, control characters, HTML."""

from __future__ import annotations

import re
from collections.abc import Callable

from provetune.audit.inputs import AuditInput, ids_of, rows_text, share
from provetune.records.data import Example, Finding, Severity

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
_HTML = re.compile(
    r"</?(?:a|b|br|div|em|font|h[1-6]|hr|i|img|li|ol|p|pre|span|strong|table|tbody|td|th|tr|u|ul)(?:\s+[\w-]+\s*=[^<>]*)?\s*/?>"
    r"|&(?:amp|apos|gt|lt|nbsp|quot|#\d{2,5}|#x[0-9a-f]{2,4});",
    re.IGNORECASE,
)


def _empty_prompt(example: Example) -> bool:
    return not example.prompt_text.strip()


def _empty_target(example: Example) -> bool:
    return not example.target.strip()


def _stray_space(example: Example) -> bool:
    return bool(example.target.strip()) and example.target != example.target.strip()


def _control_characters(example: Example) -> bool:
    return any(_CONTROL.search(message.content) for message in example.messages)


def _html(example: Example) -> bool:
    return any(_HTML.search(message.content) for message in example.messages)


_RULES: tuple[tuple[Callable[[Example], bool], Severity, str, str], ...] = (
    (_empty_prompt, "warning", "an empty prompt", "Remove these rows, or check data.columns.prompt in the project file."),
    (_empty_target, "warning", "an empty target", "Remove these rows, or write down what the model should say, for example 'none'."),
    (_stray_space, "info", "spaces or line ends around the target", "Strip the targets, or the model learns to write the spaces too."),
    (_control_characters, "warning", "control or replacement characters", "Export the file again as UTF-8; they mark a wrong encoding."),
    (_html, "info", "HTML tags or entities", "Remove the markup, unless real requests will carry it too."),
)


def format_faults(inputs: AuditInput) -> list[Finding]:
    """One finding for each kind of fault that appears."""
    found = []
    for is_faulty, severity, what, remedy in _RULES:
        rows = [example for example in inputs.examples if is_faulty(example)]
        if rows:
            part = len(rows) / len(inputs.examples)
            verb = "has" if len(rows) == 1 else "have"
            found.append(
                Finding(
                    check="format",
                    severity=severity,
                    message=f"{rows_text(len(rows))} of {len(inputs.examples):,} ({part:.1%}) {verb} {what}.",
                    count=len(rows),
                    example_ids=ids_of(rows),
                    observed=share(len(rows), len(inputs.examples)),
                    threshold=0.0,
                    remedy=remedy,
                )
            )
    return found
