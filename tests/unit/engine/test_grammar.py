"""Completions held to a JSON Schema, judged by `json` and `jsonschema`: models that know nothing must still write valid values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from llguidance import LLTokenizer
from tokenizers import Tokenizer, models

from provetune.engine.grammar import Grammar, GrammarWalk, vocabulary
from provetune.errors import ModelError, SpecError
from provetune.models.locate import STARTER
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from tests.models import SPECIALS, byte_tokenizer

TICKET = {
    "type": "object",
    "properties": {
        "topic": {"enum": ["card", "loan", "card fee", None]},
        "urgent": {"type": "boolean"},
        "amount": {"type": "number", "minimum": 0, "maximum": 5000},
        "person": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 12},
                "age": {"type": "integer", "minimum": 18, "maximum": 120},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
        "codes": {"type": "array", "items": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{1,3}$"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["topic", "person", "codes"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "ticket": TICKET,
    "enum": {"enum": ["red", "green", "greenish", 7, {"a": [1]}]},
    "array": {"type": "array", "items": {"type": "integer", "minimum": -20, "exclusiveMaximum": 300}, "maxItems": 4},
    "pattern": {"type": "string", "pattern": "^(yes|no|maybe not)$"},
    "length": {"type": "string", "minLength": 2, "maxLength": 5},
    "number": {"type": "number", "minimum": -1, "maximum": 1},
    "any": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 3}, {"type": "integer", "minimum": 1, "maximum": 31}]},
    "reference": {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"v": {"type": "boolean"}, "next": {"$ref": "#/$defs/node"}},
                "required": ["v"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/node",
    },
    "date": {"type": "string", "format": "date"},
}
STRICTER = ("ticket", "number")
"""A number between bounds may not end in a zero after the point, though JSON allows it."""
STEPS = 400


@pytest.fixture(scope="module", params=["bytes", "starter"])
def tokens(request: pytest.FixtureRequest, tiny_tokenizer: FolderTokenizer, starter_tokenizer: FolderTokenizer) -> FolderTokenizer:
    return {"bytes": tiny_tokenizer, "starter": starter_tokenizer}[request.param]


@pytest.fixture(scope="module")
def words(tokens: FolderTokenizer) -> LLTokenizer:
    return vocabulary(tokens.to_json(), tokens.stop_ids)


def is_valid(text: str, schema: dict[str, Any]) -> bool:
    try:
        jsonschema.validate(json.loads(text), schema)
    except (json.JSONDecodeError, jsonschema.ValidationError):
        return False
    return True


def random_walk(grammar: Grammar, stop: int, seed: int) -> Iterator[tuple[GrammarWalk, list[int]]]:
    """A completion by a model that finds every token equally likely; yields the walk and the tokens so far, ends at a stop."""
    draws = np.random.default_rng(seed)
    walk = grammar.start()
    ids = list(walk.forced)
    for _ in range(STEPS):
        yield walk, ids
        token = int(draws.choice(np.flatnonzero(walk.allowed(9000))))
        if walk.complete or token == stop:
            return
        walk.take(token)
        assert walk.error is None
        ids = [*ids, token, *walk.forced]


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_stop_is_allowed_exactly_where_the_text_is_valid(name: str, tokens: FolderTokenizer, words: LLTokenizer) -> None:
    """`json` and `jsonschema` say where a text is a value of the schema; special tokens are allowed nowhere else."""
    grammar = Grammar(words, json.dumps(SCHEMAS[name]))
    [stop] = tokens.stop_ids
    whole = 0
    for seed in range(12):
        for walk, ids in random_walk(grammar, stop, seed):
            text = tokens.decode(ids)
            valid = is_valid(text, SCHEMAS[name]) if text == text.rstrip() else False
            allowed = walk.allowed(9000)
            assert allowed[stop] == valid or (valid and name in STRICTER), text
            assert not set(range(len(SPECIALS))) & set(np.flatnonzero(allowed)) - {stop}
            assert walk.complete == (np.flatnonzero(allowed).tolist() == [stop])
            whole += valid
    assert whole >= 6


VALUES = [
    {"topic": "card fee", "urgent": True, "amount": 12.5, "person": {"name": 'Zoë "Z"', "age": 18}, "codes": ["AB-1", "XY-999"]},
    {"topic": None, "person": {"name": "王"}, "codes": ["QQ-10"]},
]


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("value", VALUES)
def test_the_tokenizers_own_spelling_is_followed(
    value: Any, separators: tuple[str, str], tokens: FolderTokenizer, words: LLTokenizer
) -> None:
    """Valid values as `json.dumps` lays them out can be written, and forced tokens are the ones a model learns from such texts."""
    walk = Grammar(words, json.dumps(TICKET)).start()
    rest = tokens.encode(json.dumps(value, ensure_ascii=False, separators=separators))
    forced = 0
    while rest:
        assert rest[: len(walk.forced)] == walk.forced
        forced += len(walk.forced)
        rest = rest[len(walk.forced) :]
        if rest:
            assert walk.allowed(9000)[rest[0]]
            walk.take(rest.pop(0))
    assert walk.complete and forced >= 10


def test_keys_come_in_the_order_of_the_schema(words: LLTokenizer) -> None:
    schema = {"type": "object", "properties": {"b": {"const": 1}, "a": {"const": 2}}, "required": ["a", "b"], "additionalProperties": False}
    [*_, (_, ids)] = random_walk(Grammar(words, json.dumps(schema)), stop=-1, seed=0)
    assert re.sub(r"\s", "", words.decode_str(ids)) == '{"b":1,"a":2}'


def test_no_whitespace_but_one_space_after_a_separator(words: LLTokenizer) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"const": 1}, "maxItems": 2}}, "required": ["a"]}
    grammar = Grammar(words, json.dumps({**schema, "additionalProperties": False, "x-guidance": {"whitespace_flexible": True}}))
    found = {words.decode_str([*random_walk(grammar, -1, seed)][-1][1]) for seed in range(40)}
    assert found <= {f'{{"a":{space}{items}}}' for space in ("", " ") for items in ("[]", "[1]", "[1,1]", "[1, 1]")} and len(found) >= 6


def test_an_ordinary_token_that_stops_is_no_text() -> None:
    """Some families end a turn with an added token that nothing marks as special; here it spells what a string may hold."""
    definition = json.loads(byte_tokenizer(extra=("END", "OTHER")).backend_tokenizer.to_str())
    for token in definition["added_tokens"]:
        token["special"] = token["content"] not in ("END", "OTHER")
    end, other = (token["id"] for token in definition["added_tokens"][-2:])
    walk = Grammar(vocabulary(json.dumps(definition), frozenset({2, end})), '{"type": "string", "maxLength": 9}').start()
    assert walk.allowed(300)[[2, end, other]].tolist() == [False, False, True]
    while not walk.complete:
        walk.take(7)
    assert np.flatnonzero(walk.allowed(300)).tolist() == [2, end]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("folder", ["tiny", pytest.param("starter", marks=pytest.mark.slow)])
def test_models_write_what_the_schema_says(folder: str, temperature: float, tiny_folder: Path) -> None:
    """Random weights and the starter: every completion is a value of the schema, or says that it was cut."""
    place = tiny_folder if folder == "tiny" else STARTER
    generator = TransformersGenerator(load_model(place), FolderTokenizer(place))
    prompts = [[Message(role="user", content=f"{text} Answer in JSON.")] for text in ("My card is gone", "Hi", "I am Ann, 30. Which fee?")]
    whole = 0
    for schema in SCHEMAS.values():
        settings = GenerationSettings(max_new_tokens=100, json_schema=json.dumps(schema), temperature=temperature)
        for one in generator.generate(prompts, settings, lambda what, done, total: None):
            assert one.text is not None and one.error is None
            assert is_valid(one.text, schema) if one.stopped else one.completion_tokens == 100
            whole += one.stopped
    assert whole >= 0.7 * len(prompts) * len(SCHEMAS)


@pytest.mark.parametrize(
    ("schema", "place", "reason"),
    [
        ({"properties": {"a": {"items": {"not": {"type": "string"}}}}}, "#/properties/a/items", 'Unimplemented keys: ["not"]'),
        ({"properties": {"a": {"$ref": "#/properties/b"}, "b": {}, "c": {"not": {}}}}, "#/properties/c", 'Unimplemented keys: ["not"]'),
        ({"$defs": {"b": {}}, "properties": {"a": {"oneOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]}}}, "#/properties/a", "oneOf"),
        ({"properties": {"a": {"type": "strin"}}}, "#/properties/a", "Invalid type: strin"),
        ({"$defs": {"b": {"format": "cheese", "type": "string"}}, "$ref": "#/$defs/b"}, "#/$defs/b", "Unknown format: cheese"),
        ({"anyOf": [{"type": "null"}, {"$ref": "https://example.org/x.json"}]}, "#/anyOf/1", "https://example.org/x.json"),
        ({"properties": {"a": {"type": "string", "pattern": "(?=a)b"}}}, "#/properties/a", "look-around"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}], "x-guidance": {"lenient": True}}, "#", "oneOf"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "#", "property 'a' is unsatisfiable"),
    ],
)
def test_what_cannot_be_promised_is_named(schema: dict[str, Any], place: str, reason: str, tiny_tokenizer: FolderTokenizer) -> None:
    words = vocabulary(tiny_tokenizer.to_json(), tiny_tokenizer.stop_ids)
    with pytest.raises(SpecError, match=re.escape(f"at '{place}': ") + ".*" + re.escape(reason)):
        Grammar(words, json.dumps(schema))


@pytest.mark.parametrize("text", ["[1]", "true", "{", ""])
def test_a_schema_is_an_object(text: str, tiny_tokenizer: FolderTokenizer) -> None:
    with pytest.raises(SpecError, match="JSON"):
        Grammar(vocabulary(tiny_tokenizer.to_json(), tiny_tokenizer.stop_ids), text)


def test_a_tokenizer_without_braces_is_refused() -> None:
    definition = json.loads(byte_tokenizer().backend_tokenizer.to_str())
    for letter in "{}":
        del definition["model"]["vocab"][letter]
    with pytest.raises(ModelError, match=re.escape("no token for '{}'")):
        vocabulary(json.dumps(definition), frozenset({2}))


def test_a_tokenizer_of_whole_words_is_refused() -> None:
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "yes": 1, "<end>": 2}, unk_token="<unk>"))
    backend.add_special_tokens(["<unk>", "<end>"])
    with pytest.raises(ModelError, match="JSON schema"):
        vocabulary(backend.to_str(), frozenset({2}))
