"""Mutated files of every format: each must end in rows and counts, or in one clear error that names file and line.

    python scripts/fuzz_formats.py --files 10000 --seed 1

What counts as a fault: another exception than provetune's own, more than ten seconds for one file, a message that does not begin with the
file, a row that is neither read nor counted as left out. Faulty files are kept in `--keep`. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import copy
import csv
import io
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from provetune.errors import ProvetuneError
from provetune.formats import WRITERS, Notes
from provetune.formats.columns import choose_columns, choose_part
from provetune.formats.delimited import head_of, sniff_delimiter
from provetune.formats.row import single_turn
from provetune.load import choose_task, load, read_rows
from provetune.records.data import Example, Message, ToolCall
from provetune.spec import ColumnsSpec, DataSpec, TaskSpec

SECONDS = 10
ROWS = 14
_ODD = (b"\xff", b"\x00", b"\xed\xa0\xbd", b"\xc3", b"\x80", b"\xef\xbb\xbf", b"\r", b"\n", b"\x1a", b"\xe2\x80\xa8")
_TOKENS = (
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b";",
    b"\t",
    b"null",
    b"NaN",
    b"1e999",
    b"\\ud83d",
    b"true",
    b"'",
    b"<",
    b"&#x0;",
)
_VALUES: tuple[Any, ...] = (None, True, 7, -1, 1.5, "", " ", "\n", [], {}, [None], {"a": None}, "\u2028", "x" * 200_000, [[[[[1]]]]])


# -- whole files of every format


def _texts(place: int) -> tuple[str, str]:
    return f'Where is my card number {place}, née Müller; "quoted"?', ("card", "login", "invoice")[place % 3]


def plain_examples() -> list[Example]:
    """Questions with labels, ids and other columns."""
    return [
        Example(id=f"t{k}", messages=single_turn(*_texts(k)), source=f"f:{k}", meta={"lang": "en", "note": "a\nb" if k % 4 else ""})
        for k in range(ROWS)
    ]


def talks() -> list[Example]:
    """Conversations with tools."""
    tool = '{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}'
    call = ToolCall(name="find", arguments='{"n": 1}', id="c1")
    found = []
    for k in range(ROWS):
        question, answer = _texts(k)
        turns = [Message(role="system", content="Be brief."), Message(role="user", content=question)]
        if k % 2:
            turns += [Message(role="assistant", content="", tool_calls=(call,)), Message(role="tool", content="7", tool_call_id="c1")]
            turns[0] = turns[0].model_copy(update={"tools": (tool,)})
        found.append(
            Example(id="", messages=(*turns, Message(role="assistant", content=answer)), source=f"f:{k}", extra={"n": k, "deep": [k]})
        )
    return found


def _in_turn() -> list[Example]:
    return [e.model_copy(update={"messages": (Message(role="system", content="Be brief."), *e.messages)}) for e in plain_examples()]


def _pairs() -> list[Example]:
    return [e.model_copy(update={"rejected": (Message(role="assistant", content="I do not know."),)}) for e in talks()]


def _label_studio_votes() -> bytes:
    def vote(label: str, **more: Any) -> dict[str, Any]:
        return {"completed_by": 1, "result": [{"from_name": "q", "type": "choices", "value": {"choices": [label]}}], **more}

    tasks = [
        {"id": k, "data": {"text": _texts(k)[0]}, "annotations": [vote(_texts(k)[1])] * (k % 5 > 0), "predictions": []} for k in range(20)
    ]
    tasks[3]["annotations"] = [vote("card"), vote("login"), vote("x", was_cancelled=True)]
    return json.dumps(tasks, indent=1).encode()


def _argilla(*, flat: bool) -> bytes:
    rows: list[dict[str, Any]] = []
    for k in range(20):
        text, label = _texts(k)
        if flat:
            rows.append({"id": str(k), "text": text, "q.responses": [label, label], "q.responses.status": ["submitted", "draft"]})
        else:
            rows.append({"id": str(k), "fields": {"text": text}, "responses": {"q": [{"value": label, "status": "submitted"}]}})
    return json.dumps(rows).encode()


def _typed_table(ending: str) -> bytes:
    texts = [_texts(k) for k in range(ROWS)]
    table = pa.table(
        {
            "text": [t for t, _ in texts],
            "label": [label for _, label in texts],
            "n": list(range(ROWS)),
            "deep": [[{"a": k}] for k in range(ROWS)],
        }
    )
    sink = io.BytesIO()
    if ending == ".parquet":
        pq.write_table(table, sink, compression="none" if ROWS % 2 else "snappy")
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def whole_files() -> list[tuple[str, bytes]]:
    """Name and content of one good file of each kind."""
    wanted: list[tuple[str, str, list[Example]]] = [
        *((f"{name}.jsonl", name, talks()) for name in ("chat", "sharegpt")),
        *((f"{name}.json", name, _in_turn()) for name in ("chat", "alpaca", "sharegpt")),
        *((f"{name}.jsonl", name, _in_turn()) for name in ("vertex", "bedrock")),
        ("preference.jsonl", "preference", _pairs()),
        ("pairs.jsonl", "prompt-completion", plain_examples()),
        *((f"table.{name}", name, plain_examples()) for name in ("csv", "tsv", "xlsx", "parquet")),
        ("chat.parquet", "parquet", talks()),
        ("tasks.json", "label-studio", plain_examples()),
    ]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, to, examples in wanted:
            path = Path(folder, name)
            written = WRITERS[to](path, examples, ColumnsSpec(), Notes())
            assert written == len(examples), (name, written)
            found.append((name, path.read_bytes()))
    by_name = dict(found)
    latin = "text;label\n" + "".join(f"Frage {k} für Müller;{'ab'[k % 2]}\n" for k in range(ROWS))
    found += [
        ("votes.json", _label_studio_votes()),
        ("argilla.json", _argilla(flat=False)),
        ("flat.json", _argilla(flat=True)),
        ("typed.parquet", _typed_table(".parquet")),
        ("typed.arrow", _typed_table(".arrow")),
        ("latin.csv", latin.encode("cp1252")),
        ("wide.csv", latin.encode("utf-16")),
        ("marked.csv", latin.encode("utf-8-sig")),
        ("no-ending", by_name["table.csv"]),
    ]
    return found


# -- mutations


def _bytes(content: bytes, draw: random.Random) -> bytes:
    """One change of bytes anywhere."""
    place = draw.randrange(len(content) + 1)
    length = min(draw.choice((1, 1, 2, 8, 64, 1000)), len(content))
    kind = draw.randrange(7)
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + content[place + length :]
    if kind == 2:
        return content[:place] + draw.choice(_ODD + _TOKENS) + content[place:]
    if kind == 3:
        return content[:place] + draw.choice(_ODD + _TOKENS) + content[place + 1 :]
    if kind == 4:
        return content[:place] + content[place : place + length] * 2 + content[place + length :]
    if kind == 5:
        return content[:place] + draw.randbytes(length) + content[place + length :]
    other = draw.randrange(len(content) + 1)
    return content[:place] + content[other : other + length] + content[place:]


def _lines(content: bytes, draw: random.Random) -> bytes:
    """One change of whole lines."""
    lines = content.splitlines(keepends=True) or [b""]
    place = draw.randrange(len(lines))
    kind = draw.randrange(5)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(place, lines[draw.randrange(len(lines))])
    elif kind == 2:
        lines.insert(place, draw.choice((b"\n", b"{}\n", b"null\n", b"[1]\n", b",,,\n", b'"\n', b"x\n", b"[" * 5000 + b"\n")))
    elif kind == 3:
        draw.shuffle(lines)
    else:
        lines[place] = lines[place].rstrip(b"\r\n")
    return b"".join(lines)


def _slots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key inside a JSON value."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()):
        yield value, key
        yield from _slots(inner)


def _json(content: bytes, draw: random.Random) -> bytes:
    """One value of the JSON changed: replaced, removed, renamed, repeated."""
    try:
        rows, is_list = json.loads(content), True
    except RecursionError:
        return _bytes(content, draw)
    except ValueError:
        try:
            rows, is_list = [json.loads(line) for line in content.splitlines() if line.strip()], False
        except (ValueError, RecursionError):
            return _bytes(content, draw)
    slots = list(_slots(rows))
    if not slots:
        return _bytes(content, draw)
    container, key = draw.choice(slots)
    kind = draw.randrange(4)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[draw.choice(("x", "label", "id", "messages", "tools", "weight", "", key.upper()))] = container.pop(key)
    elif kind == 2 and isinstance(container, list):
        container.insert(key, container[key])
    else:
        container[key] = copy.deepcopy(draw.choice(_VALUES))
    if is_list or not isinstance(rows, list):
        return json.dumps(rows, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
    return b"".join(json.dumps(row, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass") + b"\n" for row in rows)


def _zip(content: bytes, draw: random.Random) -> bytes:
    """One file inside a workbook changed."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            parts = {name: packed.read(name) for name in packed.namelist()}
    except Exception:  # an archive that an earlier change broke
        return _bytes(content, draw)
    if not parts:
        return _bytes(content, draw)
    name = draw.choice(sorted(parts))
    if draw.random() < 0.15:
        del parts[name]
    else:
        parts[name] = (_tags if draw.random() < 0.6 else _bytes)(parts[name], draw)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        for key, value in parts.items():
            packed.writestr(key, value)
    return sink.getvalue()


def _tags(content: bytes, draw: random.Random) -> bytes:
    """One number, attribute or tag of an XML text changed."""
    places = [match.span() for match in re.finditer(rb'"[^"<]*"|>[^<]+<|<[^>]+>', content)]
    if not places:
        return _bytes(content, draw)
    start, end = draw.choice(places)
    new = draw.choice(
        (b"", b'"s"', b'"e"', b'"d"', b'"-1"', b'"99999999999"', b'"XFD1048576"', b"><", b">#N/A<", b">1e999<", b"<f>1+1</f>", b'"A1:B9"')
    )
    return content[:start] + new + content[end:]


def mutated(name: str, content: bytes, draw: random.Random) -> bytes:
    """The content after one to three changes."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        choices: list[Callable[[bytes, random.Random], bytes]] = [_bytes, _bytes]
        if name.endswith((".json", ".jsonl")):
            choices += [_json, _json, _json, _lines]
        elif name.endswith(".xlsx"):
            choices += [_zip, _zip, _zip, _zip, _zip, _zip]
        elif not name.endswith((".parquet", ".arrow")):
            choices += [_lines, _lines]
        content = draw.choice(choices)(content, draw)
    return content


# -- looking at one file


@dataclass(frozen=True)
class Ending:
    """How one file ended: `rows`, or the kind of error; `fault` says what broke the promise, None where nothing did."""

    how: str
    fault: str | None = None


class TooSlow(BaseException):
    """No exception of ours: nothing may catch it."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TooSlow after this many seconds."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def guess(question: str, choices: Sequence[str], best: str) -> str:
    """Who cannot be asked takes the best guess."""
    return best


def look(given: Path) -> Ending:
    """What `init` would do with a file."""
    try:
        with time_limit(SECONDS):
            return _look(given)
    except ProvetuneError as error:
        told = str(error)
        clear = re.match(re.escape(str(given)) + r"(#[^:]*)?(:\d+)?: .{10,}", told, re.DOTALL) is not None
        return Ending(
            type(error).__name__, None if clear and len(told) < 3_000 else f"the message does not name the file clearly: {told[:300]}"
        )
    except TooSlow:
        return Ending("too slow", f"more than {SECONDS} s")
    except Exception as error:
        return Ending("traceback", f"{type(error).__name__}: {error}"[:300])


def _look(given: Path) -> Ending:
    path = choose_part(given, guess)
    columns = ColumnsSpec.model_validate(choose_columns(path, guess))
    data, notes = DataSpec(path=str(path), columns=columns), Notes()
    rows = list(read_rows(path, data, notes))
    told, wanted = len(rows) + notes.rows_left_out, records_in(path)
    if told != wanted:
        return Ending("rows", f"{len(rows)} rows and {notes.rows_left_out} left out, but the file holds {wanted}")
    if rows:
        load(path, data, TaskSpec(type=choose_task(rows, guess)))
    return Ending("rows and counts" if notes.rows or notes.parts else "rows")


def records_in(path: Path) -> int:
    """The number of records, counted in another way than the readers do."""
    ending = path.suffix.lower().partition("#")[0]
    if ending == ".xlsx":
        book = openpyxl.load_workbook(Path(str(path).partition("#")[0]))
        sheets = [book[str(path).partition("#")[2]]] if "#" in str(path) else book.worksheets
        return (
            sum(any(str(cell.value).strip() for cell in row if cell.value is not None) for sheet in sheets for row in sheet.iter_rows()) - 1
        )
    if ending == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    if ending == ".arrow":
        return int(pa.ipc.open_stream(path.read_bytes()).read_all().num_rows)
    text = path.read_bytes().decode("utf-8-sig")
    if text.lstrip().startswith("["):
        return len(json.loads(text))
    if text.lstrip().startswith("{"):
        return sum(bool(line.strip()) for line in re.split("\r\n|\r|\n", text))
    records = csv.reader(io.StringIO(text, newline=""), delimiter=sniff_delimiter(head_of(path)))
    return sum(len(fields) > 1 or any(field.strip() for field in fields) for fields in records) - 1


def fuzz(
    count: int, seed: int, keep: Path | None = None, progress: Callable[[int], None] = lambda done: None
) -> tuple[Counter[str], list[str]]:
    """Look at `count` mutated files; returns how they ended, by format and ending, and the faults. Faulty files are copied to `keep`."""
    originals = whole_files()
    endings: Counter[str] = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            draw = random.Random(f"{seed}:{number}")
            name, content = originals[number % len(originals)]
            path = Path(folder, name)
            path.write_bytes(mutated(name, content, draw))
            ending = look(path)
            endings[f"{name}: {ending.how}"] += 1
            if ending.fault is not None:
                faults.append(f"file {number} ({name}): {ending.fault}")
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, keep / f"{number}-{name}")
            progress(number + 1)
    return endings, faults


def main() -> int:
    """Run it and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"))
    arguments = parser.parse_args()

    def show(done: int) -> None:
        if done % 500 == 0:
            print(f"{done:,} of {arguments.files:,}", file=sys.stderr, flush=True)

    endings, faults = fuzz(arguments.files, arguments.seed, arguments.keep, show)
    for what, count in sorted(endings.items()):
        print(f"{count:6,}  {what}")
    print(*faults, sep="\n")
    print(f"{sum(endings.values()):,} files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
