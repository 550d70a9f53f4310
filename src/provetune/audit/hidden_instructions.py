"""Words in a row that are meant for the model and not for its reader, and characters that nobody sees."""

from __future__ import annotations

import re
from collections.abc import Callable

from provetune.audit.inputs import AuditInput, counted, part_text
from provetune.records.data import Example, Finding, Severity

# Tag characters spell ASCII invisibly; flags of regions are the one honest use (a black flag before them).
_TAGS = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0001\U000e0020-\U000e007f]{2,}")
# Zero width space, word joiner, byte order mark within a text; letters forced into another direction.
_INVISIBLE = re.compile("[\u200b\u2060-\u2064\ufeff\u202d\u202e\u2066-\u2069]")
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\s+(?:(?:all|any|every|the|of|my|your|these|those|and)\s+){0,4}"
    r"(?:previous|prior|above|earlier|preceding|foregoing|existing|system|original|initial)\s+(?:\w+\s+){0,2}"
    r"(?:instructions?|prompts?|rules?|directions?|guidelines?|commands?)"
    r"|\b(?:reveal|print|show|repeat|output|leak|tell\s+me)\s+(?:me\s+)?(?:your|the)\s+(?:\w+\s+){0,2}(?:system\s+prompt|hidden\s+prompt|"
    r"initial\s+instructions)|\byou\s+are\s+now\s+(?:in\s+)?(?:developer\s+mode|DAN\b|jailbroken|unrestricted)"
    r"|\bdo\s+not\s+(?:tell|inform|mention\s+(?:this|it)\s+to)\s+the\s+user\b|\bnew\s+(?:system\s+)?instructions?\s*:",
    re.IGNORECASE,
)
# One of these stands in every order; most texts are done with after a search for them.
_HINTS = ("ignore", "disregard", "forget", "override", "bypass", "prompt", "instruction", "you are now", "the user")
_MARK_ENDS = ("|>", "_turn>", "INST]", "SYS>>", "｜>")
# Marks by which chat templates tell turns apart.
_MARKS = re.compile(
    r"<\|(?:im_start|im_end|im_sep|endoftext|eot_id|start_header_id|end_header_id|begin_of_text|end_of_text|system|user|assistant|end|"
    r"channel|message|start|return)\|>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|<｜(?:User|Assistant)｜>"
)


def _tagged(example: Example) -> bool:
    return any(not message.content.isascii() and _TAGS.search(message.content) for message in example.messages)


def _unseen(example: Example) -> bool:
    return any(
        not message.content.isascii() and _INVISIBLE.search(message.content) and not _TAGS.search(message.content)
        for message in example.messages
    )


def _ordered(example: Example) -> bool:
    """Orders in a system line are the user's own."""
    return any(message.role != "system" and _has_order(message.content) for message in example.messages)


def _has_order(text: str) -> bool:
    lowered = text.lower()
    return any(word in lowered for word in _HINTS) and _ORDERS.search(text) is not None


def _marked(example: Example) -> bool:
    return any(any(end in message.content for end in _MARK_ENDS) and _MARKS.search(message.content) for message in example.messages)


_RULES: tuple[tuple[Callable[[Example], bool], Severity, str, str], ...] = (
    (
        _tagged,
        "warning",
        "hold invisible tag characters, which spell words that only a model reads",
        "Look where these rows come from; provetune audit --fix takes the characters out.",
    ),
    (
        _ordered,
        "warning",
        "hold words that try to give the model orders, such as 'ignore previous instructions'",
        "Keep them only where the target answers them as it should; else the model learns to obey whoever writes them.",
    ),
    (
        _marked,
        "warning",
        "hold marks of a chat template, such as <|im_start|>, in their text",
        "Remove the marks: the template adds its own, and the model would learn to end or begin turns in the middle of a text.",
    ),
    (
        _unseen,
        "info",
        "hold invisible characters (zero width spaces, letters forced into another direction)",
        "provetune audit --fix takes them out.",
    ),
)


def hidden_instructions(inputs: AuditInput) -> list[Finding]:
    """One finding for each of: invisible words, orders to the model, marks of a template, invisible characters."""
    found = []
    for is_found, severity, what, remedy in _RULES:
        places = [place for place, example in enumerate(inputs.examples) if is_found(example)]
        if places:
            found.append(
                Finding(
                    check="hidden_instructions",
                    severity=severity,
                    message=f"{part_text(inputs, len(places))} {what}.",
                    threshold=0.0,
                    remedy=remedy,
                    **counted(inputs, places),
                )
            )
    return found
