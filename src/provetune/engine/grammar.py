"""Completions that follow a JSON Schema: which tokens may come next and which must, through llguidance.

The text of a whole completion parses and is valid, whatever the model prefers. It stands on one line, with or without a space after
commas and colons; keys come in the order in which the schema names them. Beyond the schema's own words: `format` is held to by
shape (29 February passes in any year), and a key that the schema does not name may come twice, which `minProperties` counts as two.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

from provetune.errors import ModelError, SpecError

LETTERS = string.printable[:95]


def vocabulary(tokenizer_json: str, stop_ids: frozenset[int]) -> LLTokenizer:
    """The tokens of a `tokenizer.json` as a grammar sees them: special tokens and stop tokens are never text.

    Costs about a second for 100,000 tokens: keep it. Raises ModelError where the tokens cannot spell JSON.
    """
    definition = json.loads(tokenizer_json)
    for token in definition["added_tokens"]:
        token["special"] = token["special"] or token["id"] in stop_ids
    try:
        found = LLTokenizer(json.dumps(definition), eos_token=sorted(stop_ids))
    except ValueError as error:
        raise ModelError(f"completions cannot be held to a JSON schema with this tokenizer ({error}); use another base model") from error
    spelled = found.decode_str(found.tokenize_str(LETTERS))
    missing = "".join(letter for letter in LETTERS if letter not in spelled)
    if missing:
        raise ModelError(f"the tokenizer has no token for {missing!r} and cannot be held to a JSON schema; use another base model")
    return found


class Grammar:
    """A JSON Schema (as text), compiled for one vocabulary; every completion walks through a copy of its own.

    Raises SpecError that names the part of the schema which cannot be promised; `llguidance` lists what can (docs/json_schema.md).
    """

    def __init__(self, tokens: LLTokenizer, json_schema: str) -> None:
        try:
            schema = json.loads(json_schema)
        except ValueError as error:
            raise SpecError(f"the JSON schema is no JSON ({error})") from error
        if not isinstance(schema, dict):
            raise SpecError(f'found {json_schema[:80]} as a JSON schema, wanted an object such as {{"type": "object", ...}}')
        self._root = LLMatcher(tokens, _compiled(schema), log_level=0)
        fault = _reason(self._root.get_error())
        if fault:
            shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
            place = next(_places(schema, fault, shared), "")
            raise SpecError(f"the JSON schema cannot be promised at '#{place}': {fault}; write that part in another way or leave it out")

    def start(self) -> GrammarWalk:
        """The way of one completion, before its first token."""
        return GrammarWalk(self._root.deep_copy())


class GrammarWalk:
    """The way of one completion through a grammar; `forced` are the tokens that had to follow the last one taken."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher
        self.forced = self._ahead()

    @property
    def complete(self) -> bool:
        """With the forced tokens the value is whole and nothing can be added."""
        return self._matcher.is_stopped() and self._matcher.is_accepting()

    @property
    def error(self) -> str | None:
        """Why the grammar can follow no further."""
        return _reason(self._matcher.get_error()) or None

    def allowed(self, width: int) -> NDArray[np.bool_]:
        """Which of the first `width` tokens may follow the forced ones; a stop token where the value is whole."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        return np.unpackbits(bits, count=width, bitorder="little").view(np.bool_)

    def take(self, token: int) -> None:
        """Follow `token` and those that are forced after it."""
        self._matcher.consume_token(token)
        self.forced = self._ahead()

    def _ahead(self) -> list[int]:
        tokens = self._matcher.compute_ff_tokens()
        self._matcher.consume_tokens(tokens)
        return tokens


def _compiled(schema: dict[str, Any]) -> str:
    return LLMatcher.grammar_from_json_schema(
        schema,
        overrides={
            "whitespace_flexible": False,
            "whitespace_pattern": None,
            "item_separator": ", ?",
            "key_separator": ": ?",
            "coerce_one_of": False,
            "lenient": False,
        },
    )


def _places(part: Any, fault: str, shared: dict[str, Any], at: str = "") -> Iterator[str]:
    """JSON pointers of the smallest parts that by themselves (with the `shared` definitions) fail for the same reason."""
    inner = part.items() if isinstance(part, dict) else enumerate(part if isinstance(part, list) else ())
    found = [place for key, value in inner for place in _places(value, fault, shared, f"{at}/{key}")]
    yield from found
    if not found and isinstance(part, dict):
        _, messages = LLMatcher.validate_grammar_with_warnings(_compiled({**shared, **part}))
        if fault in map(_reason, messages):
            yield at


def _reason(message: str) -> str:
    """The message on one line, without the library's dump of its state."""
    return " ".join(message.partition("\n<state>")[0].split())
