"""From rows to examples: ids, labels, system lines, groups, and the whole-file rules."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.errors import DataError, SpecError
from provetune.formats import Notes, RawRow
from provetune.formats.row import single_turn
from provetune.load import guess_task, labels_of, load, read_rows
from provetune.records.data import Example
from provetune.spec import ColumnsSpec, DataSpec, SplitSpec, TaskSpec

CLASSIFY = TaskSpec(type="classify")
GENERATE = TaskSpec(type="generate")
AUTO = DataSpec(path="rows")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40).filter(str.strip)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), min_size=10, max_size=14)


def write(folder: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(count: int = 12, **more: Any) -> list[dict[str, Any]]:
    return [{"prompt": f"p{k}", "completion": ("yes", "no")[k % 2], **more} for k in range(count)]


def failure(path: Path, data: DataSpec = AUTO, task: TaskSpec = CLASSIFY) -> str:
    with pytest.raises(DataError) as caught:
        load(path, data, task)
    return str(caught.value)


def raw(*targets: str) -> list[RawRow]:
    return [RawRow(k, None, single_turn("p", target), target) for k, target in enumerate(targets, start=1)]


def test_ids_and_sources_name_the_line(tmp_path: Path) -> None:
    rows = table()
    rows[1]["id"], rows[2]["id"] = "ticket-9", 41
    examples = load(write(tmp_path, rows), AUTO, GENERATE)
    assert [example.id for example in examples[:4]] == ["r1", "ticket-9", "41", "r4"]
    assert [example.source for example in examples[:2]] == ["rows.jsonl:1", "rows.jsonl:2"]
    assert all(example.label is None for example in examples)


def test_a_label_is_the_target_without_blanks(tmp_path: Path) -> None:
    rows = table()
    rows[0]["completion"] = " yes\n"
    path = write(tmp_path, rows)
    example = load(path, AUTO, CLASSIFY)[0]
    assert (example.label, example.target) == ("yes", "yes")
    assert load(path, AUTO, GENERATE)[0].target == " yes\n"


def test_labels_are_sorted_and_unique() -> None:
    examples = [Example(id=str(k), messages=single_turn("p", "t"), label=label) for k, label in enumerate(("b", None, "a", "b"))]
    assert labels_of(examples) == ("a", "b")
    assert labels_of([]) == ()


def test_the_system_line_of_the_task_yields_to_that_of_the_row(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "t"}]
    rows: list[dict[str, Any]] = [{"messages": turns} for _ in range(10)]
    rows[1] = {"messages": [{"role": "developer", "content": "own"}, *turns]}
    examples = load(write(tmp_path, rows), AUTO, TaskSpec(type="chat", system="be kind"))
    assert [[(m.role, m.content) for m in example.messages] for example in examples[:2]] == [
        [("system", "be kind"), ("user", "p"), ("assistant", "t")],
        [("system", "own"), ("user", "p"), ("assistant", "t")],
    ]
    assert examples[0].prompt_text == "p"


@pytest.mark.parametrize(
    "data",
    [
        DataSpec(path="rows", columns=ColumnsSpec(group="who")),
        DataSpec(path="rows", split=SplitSpec(group="who")),
        DataSpec(path="rows", columns=ColumnsSpec(group="who"), split=SplitSpec(group="who")),
    ],
)
def test_the_group_may_be_named_in_either_place(tmp_path: Path, data: DataSpec) -> None:
    examples = load(write(tmp_path, table(who="ann", lang="en")), data, CLASSIFY)
    assert {(example.group, tuple(example.meta.items())) for example in examples} == {("ann", (("lang", "en"),))}


def test_two_different_groups_are_refused(tmp_path: Path) -> None:
    data = DataSpec(path="rows", columns=ColumnsSpec(group="who"), split=SplitSpec(group="team"))
    with pytest.raises(SpecError, match=r"^data\.split\.group is 'team' but data\.columns\.group is 'who'"):
        load(write(tmp_path, table(who="a", team="b")), data, CLASSIFY)


def test_a_given_format_is_taken_at_its_word(tmp_path: Path) -> None:
    path = write(tmp_path, table())
    message = failure(path, DataSpec(path="rows", format="chat"))
    assert message.startswith(f"{path}:1: key 'messages' is missing, found keys prompt, completion")


def test_an_undesirable_answer_is_not_learned(tmp_path: Path) -> None:
    path = write(tmp_path, [*table(11), {"prompt": "p", "completion": "no", "label": False}])
    assert failure(path).startswith(f"{path}:12: the answer is marked as undesirable (kto_tag or label false)")
    named = DataSpec(path="rows", columns=ColumnsSpec(slice=["label"]))
    path = write(tmp_path, table(11, label=False))
    assert load(path, named, CLASSIFY)[0].meta == {"label": "false"}  # the user gave the key another use


def test_tools_stay_on_the_first_message(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "t"}]
    rows = [{"messages": turns, "tools": [{"type": "function", "function": {"name": "f"}}]} for _ in range(10)]
    example = load(write(tmp_path, rows), AUTO, TaskSpec(type="chat", system="be kind"))[0]
    assert [bool(message.tools) for message in example.messages] == [True, False, False]
    assert example.messages[0].role == "system"


def test_a_tool_call_is_no_label(tmp_path: Path) -> None:
    call = {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]}
    path = write(tmp_path, [{"messages": [{"role": "user", "content": "p"}, call]} for _ in range(10)])
    assert failure(path).startswith(f"{path}:1: found a tool call where a label was wanted")
    assert load(path, AUTO, TaskSpec(type="chat"))[0].target == '{"name": "f", "arguments": {}}'


def test_rows_left_out_are_counted(tmp_path: Path) -> None:
    tasks = [{"id": k, "data": {"text": f"t{k}"}, "annotations": [vote("ab"[k % 2])] if k < 12 else []} for k in range(15)]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    notes = Notes()
    assert len(load(path, AUTO, CLASSIFY, notes)) == 12
    assert notes.lines() == [f"3 rows left out: no answer by an annotator (first: {path}:1)"]
    path.write_text(json.dumps(tasks[8:]))
    assert failure(path).startswith(
        f"{path}: found 4 rows (3 rows left out: no answer by an annotator (first: {path}:1)), wanted at least 10"
    )


def vote(label: str) -> dict[str, Any]:
    return {"result": [{"from_name": "label", "type": "choices", "value": {"choices": [label]}}], "completed_by": 1}


def test_an_id_used_twice_names_both_lines(tmp_path: Path) -> None:
    rows = table()
    rows[2]["id"], rows[6]["id"] = "a", "a"
    path = write(tmp_path, rows)
    assert failure(path).startswith(f"{path}:7: id 'a' is used already on line 3, wanted each id once")
    rows = table()
    rows[6]["id"] = "r3"  # the name that line 3 gets for want of an id
    path = write(tmp_path, rows)
    assert failure(path).startswith(f"{path}:7: id 'r3' is used already on line 3")


def test_a_label_outside_the_list_names_the_nearest(tmp_path: Path) -> None:
    rows = table()
    rows[4]["completion"] = "Yess"
    path = write(tmp_path, rows)
    task = TaskSpec(type="classify", labels=["yes", "no"])
    assert failure(path, task=task) == (
        f"{path}:5: found label 'Yess', wanted one of task.labels (yes, no); mend one of them; did you mean 'yes'?"
    )
    rows[4]["completion"] = " no "
    assert len(load(write(tmp_path, rows), AUTO, task)) == 12


def test_a_long_list_of_labels_is_cut(tmp_path: Path) -> None:
    path = write(tmp_path, table())
    assert "(l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, ...)" in failure(
        path, task=TaskSpec(type="classify", labels=[f"l{k}" for k in range(77)])
    )


@pytest.mark.parametrize("count", [1, 3, 9])
def test_fewer_than_ten_rows_are_refused(tmp_path: Path, count: int) -> None:
    path = write(tmp_path, table(count))
    assert failure(path).startswith(f"{path}: found {count} rows, wanted at least 10")
    assert len(load(write(tmp_path, table(10)), AUTO, CLASSIFY)) == 10


def test_a_header_alone_is_no_data(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n")
    assert failure(path).startswith(f"{path}: found 0 rows, wanted at least 10; the file holds a header or a frame and no examples")


def test_one_label_only_is_refused_for_classification(tmp_path: Path) -> None:
    path = write(tmp_path, [{**row, "completion": "yes"} for row in table()])
    assert failure(path).startswith(f"{path}: found one label only, 'yes', wanted at least 2")
    assert len(load(path, AUTO, GENERATE)) == 12


def test_a_bad_row_stops_the_load_at_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, [*table(7), {"prompt": "p", "completion": " "}])
    assert failure(path) == f"{path}:8: empty completion ('completion'); fill it in or remove the row"


@pytest.mark.parametrize(
    ("targets", "task"),
    [
        (['{"a": 1}'] * 9 + ["no"], "extract"),
        (['{"a": 1}'] * 8 + ["no"] * 2, "classify"),
        (["[1]"] * 10, "classify"),  # a list is no object
        (["yes", "no"] * 4, "classify"),
        (["yes", "no", " yes "] * 3, "classify"),  # blanks around do not make another label
        (["yes", "no", "maybe"] * 3, "generate"),  # 3 distinct of 9 rows is not fewer than a third
        (["yes", "no", "maybe"] * 4, "classify"),
        (["one two three four five six"] * 9, "classify"),
        (["one two three four five six seven"] * 9, "generate"),
        ([f"answer {k}" for k in range(30)], "generate"),
        (["[" * 100_000], "generate"),
    ],
)
def test_the_task_is_guessed_from_the_targets(targets: list[str], task: str) -> None:
    assert guess_task(raw(*targets)) == task


def test_no_rows_no_guess() -> None:
    with pytest.raises(DataError, match="^found 0 rows, wanted at least 10 to guess the task; set task.type"):
        guess_task([])


def write_csv(path: Path, pairs: list[tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *pairs])


@given(PAIRS, st.sampled_from(["rows.csv", "rows.jsonl", "chat.jsonl"]))
def test_written_texts_come_back(pairs: list[tuple[str, str]], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        if name == "rows.csv":
            write_csv(path, pairs)
        elif name == "rows.jsonl":
            write(path.parent, [{"prompt": prompt, "completion": target} for prompt, target in pairs])
        else:
            turns = [[{"role": "user", "content": prompt}, {"role": "assistant", "content": target}] for prompt, target in pairs]
            write(path.parent, [{"messages": messages} for messages in turns], name)
        examples = load(path, AUTO, GENERATE)
    assert [(example.prompt_text, example.target) for example in examples] == pairs
    assert len({example.id for example in examples}) == len(pairs)
    assert all(example.source == f"{name}:{example.id.removeprefix('r')}" for example in examples)


def test_banking77_is_loaded_whole(public_data: Path) -> None:
    for name, count in (("train.csv", 10_003), ("test.csv", 3_080)):
        path = public_data / "banking77" / name
        examples = load(path, AUTO, CLASSIFY)
        assert (len(examples), len(labels_of(examples))) == (count, 77)
        assert labels_of(examples) == tuple(sorted(json.loads((path.parent / "categories.json").read_text())))
        assert guess_task(list(read_rows(path, AUTO))) == "classify"


def test_gsm8k_is_a_generation_task(public_data: Path) -> None:
    data = DataSpec(path="train.jsonl", columns=ColumnsSpec(prompt="question", target="answer"))
    path = public_data / "gsm8k" / "train.jsonl"
    rows = list(read_rows(path, data))
    assert (len(rows), guess_task(rows)) == (7_473, "generate")
    assert load(path, data, GENERATE)[0].target.endswith("#### 72")
