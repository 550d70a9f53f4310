"""Parquet and Arrow: typed columns as text, nulls that Arrow fills in, folders of the datasets library, names of the hub."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from provetune.errors import DataError
from provetune.formats import READERS, WRITERS, Notes, RawRow
from provetune.formats.arrow import parts_of
from provetune.formats.detection import detect
from provetune.formats.hub import HubName, fetched, hub_name
from provetune.formats.row import example_of
from provetune.records.data import Example, Message, ToolCall
from provetune.spec import ColumnsSpec


def save(path: Path, table: pa.Table, *, stream: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return path
    with pa.OSFile(str(path), "wb") as sink, (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return path


def read(path: Path, columns: ColumnsSpec | None = None, notes: Notes | None = None) -> list[RawRow]:
    return list(READERS[detect(path)](path, columns or ColumnsSpec(), notes))


def failure(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    return str(caught.value)


TEXTS = pa.table({"text": ["a", "b"], "label": ["x", "y"]})


@pytest.mark.parametrize(("name", "stream"), [("t.parquet", False), ("t.arrow", False), ("t.arrow", True), ("t.feather", False)])
def test_every_container_gives_the_rows(tmp_path: Path, name: str, stream: bool) -> None:
    rows = read(save(tmp_path / name, TEXTS, stream=stream))
    assert [(row.line, row.messages[0].content, row.target) for row in rows] == [(1, "a", "x"), (2, "b", "y")]


def test_typed_columns_become_text(tmp_path: Path) -> None:
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5)  # noqa: DTZ001  # as tables hold it
    table = pa.table(
        {
            "text": ["a"],
            "label": [7],
            "on": [datetime.date(2024, 1, 2)],
            "at": pa.array([moment], pa.timestamp("ns")),
            "price": [decimal.Decimal("1.10")],
            "share": [0.5],
            "missing": [float("nan")],
            "ok": [True],
            "none": pa.array([None], pa.string()),
            "image": [b"\x00\x01"],
            "deep": [{"a": 1, "b": None}],
        }
    )
    notes = Notes()
    path = save(tmp_path / "t.parquet", table)
    (row,) = read(path, notes=notes)
    assert row.target == "7"
    assert row.meta == {
        **{"on": "2024-01-02", "at": "2024-01-02T03:04:05.000000000", "price": "1.10", "share": "0.5", "missing": "nan", "ok": "true"},
    }
    assert row.extra == {"share": 0.5, "ok": True, "deep": {"a": 1}}
    assert notes.lines() == [f"left out of 1 row: bytes in column 'image' (first: {path}:1)"]


def test_nulls_that_arrow_fills_in_are_left_out_again(tmp_path: Path) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [[{"role": "user", "content": "hi"}, {"role": "assistant", "content": None, "tool_calls": [call]}]]
    tools = [[{"type": "function", "function": {"name": "f", "parameters": None}}]]
    (row,) = read(save(tmp_path / "t.parquet", pa.table({"messages": messages, "tools": tools})))
    assert row.messages[1].tool_calls == (ToolCall(name="f", arguments="{}", id="c"),)
    assert json.loads(row.messages[0].tools[0]) == {"type": "function", "function": {"name": "f"}}


def test_classes_have_their_names(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["world", "sports"], "_type": "ClassLabel"}, "text": {"dtype": "string"}}}}
    table = pa.table({"text": ["a", "b"], "label": [1, 0]}).replace_schema_metadata({"huggingface": json.dumps(features)})
    assert [row.target for row in read(save(tmp_path / "t.parquet", table))] == ["sports", "world"]
    table = pa.table({"text": ["a"], "label": [-1]}, metadata={"huggingface": json.dumps(features)})
    path = save(tmp_path / "t.parquet", table)
    assert failure(path).startswith(f"{path}:1: found class -1, wanted 0 to 1 (-1 stands for no label)")


def test_broken_files_and_rows_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "t.parquet", TEXTS)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert failure(path).startswith(f"{path}:1: the file cannot be read from this row on: ")
    path = save(tmp_path / "t.parquet", pa.table({"text": ["a", None], "label": ["x", "y"]}))
    assert failure(path) == f"{path}:2: column 'text' is null, wanted a text; write the prompt, or remove the row"
    path = save(tmp_path / "t.parquet", pa.table({"text": ["a", "b"], "label": ["x", " "]}))
    assert failure(path) == f"{path}:2: empty completion (column 'label'); fill it in or remove the row"


def dataset_folder(folder: Path, tables: list[pa.Table]) -> Path:
    """As `Dataset.save_to_disk` lays it out."""
    names = [f"data-{k:05}-of-{len(tables):05}.arrow" for k in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        save(folder / name, table, stream=True)
    (folder / "dataset_info.json").write_text("{}")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names], "_fingerprint": "x"}))
    return folder


def test_a_saved_data_set_is_read_in_order(tmp_path: Path) -> None:
    folder = dataset_folder(tmp_path / "saved", [TEXTS, TEXTS])
    rows = read(folder)
    assert [(row.line, row.target) for row in rows] == [(1, "x"), (2, "y"), (3, "x"), (4, "y")]
    (folder / "data-00001-of-00002.arrow").unlink()
    assert failure(folder) == f"{folder}: data-00001-of-00002.arrow is named in state.json and missing; save the data set again"
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../x.arrow"}]}))
    assert "is named in state.json and missing" in failure(folder)
    (folder / "state.json").write_text(json.dumps({"_data_files": [], "_indices_files": [{"filename": "i.arrow"}]}))
    assert "flatten_indices" in failure(folder)
    (folder / "state.json").write_text("[]")
    assert "wanted what `save_to_disk` writes" in failure(folder)


def test_a_part_is_named_where_there_are_several(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    for name in ("train", "test"):
        dataset_folder(folder / name, [TEXTS])
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert failure(folder) == f"{folder}: found several parts, wanted one of test, train; name one, as in {folder}#train"
    assert len(read(Path(f"{folder}#train"))) == 2
    assert len(read(folder / "train")) == 2
    assert "found no part 'dev', wanted one of test, train" in failure(Path(f"{folder}#dev"))


def test_a_snapshot_of_the_hub_is_cut_into_its_parts(tmp_path: Path) -> None:
    for name in ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001.parquet"):
        save(tmp_path / name, TEXTS)
    assert {name: len(files) for name, files in parts_of(tmp_path).items()} == {"train": 2, "test": 1}
    assert len(read(Path(f"{tmp_path}#train"))) == 4
    converted = tmp_path / "converted"
    save(converted / "default" / "train" / "0000.parquet", TEXTS)
    assert list(parts_of(converted)) == ["default/train"]
    assert len(read(converted)) == 2


def test_names_of_the_hub() -> None:
    assert hub_name(Path("project/hf:ag_news")) == HubName("ag_news", None, None)
    assert hub_name(Path("hf:a/b@refs/convert/parquet#default/train")) == HubName("a/b", "refs/convert/parquet", "default/train")
    assert hub_name(Path("data/half:x.csv")) is None
    assert detect(Path("hf:a/b")) == "datasets"


def test_the_hub_is_asked_for_tables_then_for_the_converted_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in for the hub: the real one is not asked in tests."""
    asked: list[tuple[str, str | None]] = []

    def snapshot(name: str, *, revision: str | None, **more: Any) -> str:
        asked.append((name, revision))
        assert more["repo_type"] == "dataset" and "*.parquet" in more["allow_patterns"]
        folder = tmp_path / str(revision).replace("/", "-")
        folder.mkdir(exist_ok=True)
        if revision == "refs/convert/parquet":
            save(folder / "default" / "train" / "0000.parquet", TEXTS)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert [row.target for row in read(Path("project/hf:owner/name#default/train"))] == ["x", "y"]
    assert asked == [("owner/name", "main"), ("owner/name", "refs/convert/parquet")]
    with pytest.raises(DataError, match=r"^hf:owner/name: found no tables at v1; name another revision with @"):
        fetched(HubName("owner/name", "v1", None))

    def offline(name: str, **more: Any) -> str:
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    assert failure(Path("hf:owner/name")) == (
        "hf:owner/name: could not be fetched from the hub (LocalEntryNotFoundError); check the name and the network, "
        "or download it and name the folder"
    )


def test_conversations_in_parquet_can_be_read_by_others(tmp_path: Path) -> None:
    call = ToolCall(name="f", arguments='{"a": 1}', id="c")
    messages = (
        Message(role="user", content="hi", tools=('{"type": "function", "function": {"name": "f"}}',)),
        Message(role="assistant", content="", tool_calls=(call,), weight=0),
        Message(role="tool", content="2", tool_call_id="c"),
        Message(role="assistant", content="two"),
    )
    example = Example(id="a", messages=messages, meta={"n": "1"}, extra={"n": 1}, source="f:1")
    path, notes = tmp_path / "t.parquet", Notes()
    assert WRITERS["parquet"](path, [example], ColumnsSpec(), notes) == 1
    table = pq.read_table(path)
    assert str(table.schema.field("messages").type) == (
        "list<element: struct<role: string, content: string, tool_calls: string, weight: int64, tool_call_id: string>>"
    )
    assert table.column("tools").to_pylist() == ['[{"type": "function", "function": {"name": "f"}}]']
    (row,) = read(path)
    assert example_of(row, "f") == example.model_copy(update={"extra": {}})
    assert notes.lines() == ["left out of 1 row: that 'n' was no text; it is written as JSON text (first: f:1)"]
