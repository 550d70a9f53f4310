"""What holds for every reader and writer: what is written without a note reads back equal, and what is lost is counted."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provetune.formats import READERS, WRITERS, Notes
from provetune.formats.row import example_of
from provetune.records.data import Example, Message, ToolCall
from provetune.spec import ColumnsSpec

ENDINGS = {"datasets": "folder", "csv": "csv", "tsv": "tsv", "xlsx": "xlsx", "parquet": "parquet", "label-studio": "json", "alpaca": "json"}
READER_OF = {"tsv": "csv"}
NAMES_COLUMNS = ("csv", "tsv", "xlsx", "parquet", "datasets", "prompt-completion")

KEPT_WHOLE = ("label_studio", "responses")
"""What a reader keeps of a task or record beside the example, for writing it back."""

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(str.strip)
ANY_TEXT = st.one_of(
    TEXTS, st.sampled_from(["007", "NA", "None", "1e5", "=1+1", "#N/A", " x ", "a\r\nb", '"', "_x000A_", "a\u2028b", "TRUE", "1.10"])
)
NAMES = st.one_of(st.sampled_from(["lang", "label", "text", "input", "system", "tools", "data", "kto_tag"]), TEXTS).filter(
    lambda name: name not in ("id", "group", "prompt", "completion")
)
SCALARS = st.one_of(st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
JSON = st.recursive(
    st.one_of(st.none(), SCALARS, st.text(max_size=5).filter(str.isascii)), lambda inner: st.lists(inner, max_size=2), max_leaves=4
)
NESTED = st.one_of(st.none(), st.lists(JSON, max_size=2), st.dictionaries(st.sampled_from("abc"), JSON, max_size=2))
ARGUMENTS = st.dictionaries(st.sampled_from(["city", "n"]), JSON, max_size=2).map(lambda value: json.dumps(value, ensure_ascii=False))
CALLS = st.lists(st.builds(ToolCall, name=TEXTS, arguments=ARGUMENTS, id=st.sampled_from(["", "call_1"])), min_size=1, max_size=2).map(
    tuple
)
TOOLS = st.lists(
    st.builds(
        lambda name, more: json.dumps({"type": "function", "function": {"name": name, **more}}, ensure_ascii=False),
        TEXTS,
        st.dictionaries(st.just("parameters"), JSON),
    ),
    min_size=1,
    max_size=2,
).map(tuple)


@st.composite
def others(draw: st.DrawFn, *, typed: bool) -> dict[str, Any]:
    """Id, group, `meta` and, where wanted, `extra`, as reading a file gives them."""
    meta = draw(st.dictionaries(NAMES, st.one_of(ANY_TEXT, st.just("")), max_size=2))
    extra: dict[str, Any] = {}
    if typed:
        for name in draw(st.lists(st.sampled_from(["n", "deep", "gone"]), unique=True)):
            extra[name] = draw(SCALARS if name == "n" else NESTED if name == "deep" else st.none())
            if name == "n":
                meta[name] = json.dumps(extra[name])
    identity = draw(st.one_of(st.just(""), TEXTS))
    return {"id": identity, "group": draw(st.one_of(st.none(), TEXTS)), "meta": meta, "extra": extra}


@st.composite
def plain(draw: st.DrawFn, *, typed: bool = False) -> Example:
    """One question and one answer."""
    messages = (Message(role="user", content=draw(ANY_TEXT)), Message(role="assistant", content=draw(ANY_TEXT)))
    return Example(messages=messages, **draw(others(typed=typed)))


@st.composite
def in_turn(draw: st.DrawFn) -> Example:
    """A system line, then texts of user and assistant in turn."""
    system = [Message(role="system", content=draw(ANY_TEXT))] if draw(st.booleans()) else []
    pairs = draw(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=3))
    turns = [Message(role=role, content=text) for pair in pairs for role, text in zip(("user", "assistant"), pair, strict=True)]
    return Example(messages=(*system, *turns), **draw(others(typed=True)))


@st.composite
def conversations(draw: st.DrawFn) -> Example:
    """Everything that a chat can hold: tools, calls, results, weights, names, a developer's line, a rating."""
    lines = draw(st.lists(st.builds(Message, role=st.just("system"), content=ANY_TEXT, developer=st.booleans()), max_size=1))
    turns = [*lines, draw(st.builds(Message, role=st.just("user"), content=ANY_TEXT, name=st.one_of(st.none(), TEXTS)))]
    if draw(st.booleans()):
        content = draw(st.one_of(st.just(""), ANY_TEXT))
        turns.append(Message(role="assistant", content=content, tool_calls=draw(CALLS), weight=draw(st.sampled_from([0, 1]))))
        turns.append(Message(role="tool", content=draw(st.one_of(st.just(""), ANY_TEXT)), tool_call_id=draw(st.one_of(st.none(), TEXTS))))
    calls = draw(st.one_of(st.just(()), CALLS))
    turns.append(Message(role="assistant", content="" if calls else draw(ANY_TEXT), tool_calls=calls))
    if draw(st.booleans()):
        turns[0] = turns[0].model_copy(update={"tools": draw(TOOLS)})
    flags = {"parallel_tool_calls": draw(st.one_of(st.none(), st.booleans())), "desirable": draw(st.one_of(st.none(), st.booleans()))}
    return Example(messages=tuple(turns), **flags, **draw(others(typed=True)))


@st.composite
def preferences(draw: st.DrawFn) -> Example:
    """A conversation with a second, worse answer."""
    better = draw(conversations())
    worse = Message(role="assistant", content=better.target + draw(TEXTS))
    return better.model_copy(update={"rejected": (worse,), "desirable": None})


ANYTHING = st.one_of(plain(), plain(typed=True), in_turn(), conversations(), preferences())
CAN_HOLD = {
    **dict.fromkeys(("chat", "sharegpt", "alpaca", "vertex", "bedrock"), in_turn()),
    **dict.fromkeys(("prompt-completion", "label-studio", "argilla"), plain(typed=True)),
    **dict.fromkeys(("csv", "tsv", "xlsx", "parquet", "datasets"), plain()),
    "preference": preferences(),
}


def columns_for(name: str, example: Example) -> ColumnsSpec:
    group = "group" if example.group is not None else None
    prompt = "text" if name in ("label-studio", "argilla") else "prompt" if name in NAMES_COLUMNS else None
    return ColumnsSpec(prompt=prompt, target="completion" if name in NAMES_COLUMNS else None, group=group)


def there_and_back(name: str, example: Example) -> tuple[Example | None, Notes]:
    """What one example becomes when it is written and read again; None where it is left out."""
    columns, notes = columns_for(name, example), Notes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"rows.{ENDINGS.get(name, 'jsonl')}")
        written = WRITERS[name](path, [example], columns, notes)
        assert written == 1 - notes.rows_left_out
        if not written:
            return None, notes
        table = next(path.iterdir()) if path.is_dir() else path
        if name in ("parquet", "datasets") and "messages" in pyarrow.parquet.read_schema(table).names:
            columns = ColumnsSpec(group=columns.group)
        reading = Notes()
        (row,) = READERS[READER_OF.get(name, name)](path, columns, reading)
        assert not reading.rows and not reading.parts, reading.lines()
    found = example_of(row, "")
    extra = {key: value for key, value in found.extra.items() if key not in KEPT_WHOLE}
    return found.model_copy(update={"source": "", "extra": extra}), notes


def test_every_format_has_both_ways() -> None:
    assert set(WRITERS) - set(READER_OF) == set(READERS)
    assert set(CAN_HOLD) == set(WRITERS)


@pytest.mark.parametrize("name", sorted(WRITERS))
@given(example=ANYTHING)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_is_written_without_a_note_reads_back_equal(name: str, example: Example) -> None:
    found, notes = there_and_back(name, example)
    if not notes.rows and not notes.parts:
        assert found == example
    elif found is not None:  # some part is lost and told; what is learned is there
        assert [message.text for message in found.messages] == [message.text for message in example.messages]
        assert [message.weight for message in found.messages] == [message.weight for message in example.messages]


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_what_a_format_is_made_for_is_held(name: str) -> None:
    """The property above is not empty: rows of the format's own kind pass without a note."""
    told: list[str] = []

    @given(example=CAN_HOLD[name])
    @settings(max_examples=30, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    def collect(example: Example) -> None:
        told.append("; ".join(there_and_back(name, example)[1].lines()))

    collect()
    assert told.count("") > len(told) / 10, told
