"""The project folder: records made once, rows by content, the sealed test split and its ledger, the lock."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.errors import FolderError
from provetune.records.data import Dataset, Example, Message, Split
from provetune.records.evaluation import Opening, Prediction
from provetune.store import StepKey, Store, content_hash, lines_of, records_in, row_hash, write_atomic

KEY = StepKey("load", 1, {"file": "abc"})


def example(number: int, text: str = "How are you?") -> Example:
    messages = (Message(role="user", content=f"{text} {number}"), Message(role="assistant", content="Fine."))
    return Example(id=f"r{number}", messages=messages, source=f"rows.jsonl:{number}")


def dataset(name: str = "first") -> Dataset:
    return Dataset(path=name, rows_sha256="00", count=3)


def maker(name: str = "first") -> tuple[Callable[[], Dataset], list[str]]:
    """A function that makes a record, and the list of its calls."""
    calls: list[str] = []

    def make() -> Dataset:
        calls.append(name)
        return dataset(name)

    return make, calls


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path)
    found.open_run("aaaa")
    return found


def record_file(store: Store) -> Path:
    [file] = (store.current / "records").iterdir()
    return file


class TestOnce:
    def test_the_second_call_reads(self, store: Store) -> None:
        make, calls = maker()
        assert store.once(KEY, Dataset, make) == store.once(KEY, Dataset, make) == dataset()
        assert calls == ["first"]
        events = [line.split('"event": "')[1].split('"')[0] for line in lines_of(store.current / "events.jsonl")]
        assert events == ["started", "finished", "reused"]

    @pytest.mark.parametrize(
        "damaged", ["", "{", "null", "[1]", "{}", '{"schema": "provetune.dataset/1"}', '{"schema": "provetune.split/1"}']
    )
    def test_a_damaged_record_is_made_again(self, store: Store, damaged: str) -> None:
        make, calls = maker()
        store.once(KEY, Dataset, make)
        whole = record_file(store).read_text()
        record_file(store).write_text(damaged)
        assert store.once(KEY, Dataset, make) == dataset()
        assert len(calls) == 2 and record_file(store).read_text() == whole

    def test_a_record_that_is_not_usable_any_more_is_made_again(self, store: Store) -> None:
        make, calls = maker()
        store.once(KEY, Dataset, make)
        store.once(KEY, Dataset, make, usable=lambda found: found.count > 3)
        assert len(calls) == 2

    def test_a_record_is_found_in_another_run(self, store: Store) -> None:
        make, calls = maker()
        store.once(KEY, Dataset, make)
        earlier = record_file(store)
        store.open_run("bbbb")
        assert store.once(KEY, Dataset, make) == dataset() and len(calls) == 1
        assert record_file(store) != earlier and record_file(store).read_text() == earlier.read_text()

    @pytest.mark.parametrize(
        "other", [StepKey("load", 2, {"file": "abc"}), StepKey("load", 1, {"file": "abd"}), StepKey("read", 1, {"file": "abc"})]
    )
    def test_another_step_version_or_input_is_another_record(self, store: Store, other: StepKey) -> None:
        make, calls = maker()
        store.once(KEY, Dataset, make)
        store.once(other, Dataset, make)
        assert len(calls) == 2

    def test_nothing_is_saved_when_making_fails(self, store: Store) -> None:
        def fail() -> Dataset:
            raise FolderError("disk full")

        with pytest.raises(FolderError, match="disk full"):
            store.once(KEY, Dataset, fail)
        make, calls = maker()
        assert store.once(KEY, Dataset, make) == dataset() and len(calls) == 1


class TestRuns:
    def test_the_same_key_continues_its_run(self, tmp_path: Path) -> None:
        first = Store(tmp_path).open_run("aaaa")
        other = Store(tmp_path).open_run("bbbb")
        assert first != other and (tmp_path / "runs" / "latest").resolve() == other.resolve()
        assert Store(tmp_path).open_run("aaaa") == first
        assert (tmp_path / "runs" / "latest").resolve() == first.resolve()

    def test_no_run_is_open_at_first(self, tmp_path: Path) -> None:
        with pytest.raises(FolderError, match="no run is open"):
            _ = Store(tmp_path).current

    def test_a_file_in_the_way_is_a_folder_error(self, tmp_path: Path) -> None:
        (tmp_path / "runs").write_text("not a folder")
        with pytest.raises(FolderError, match="wanted a folder that can be written"):
            Store(tmp_path).open_run("aaaa")

    def test_weights_are_copied_whole(self, store: Store, tmp_path: Path) -> None:
        weights = tmp_path / "weights"
        for content in (b"one", b"two"):
            weights.mkdir(exist_ok=True)
            (weights / "adapter.safetensors").write_bytes(content)
            kept = store.keep_weights(weights, "adapter")
            assert kept == store.current / "adapter" and (kept / "adapter.safetensors").read_bytes() == content
        assert not list(store.current.glob(".adapter*"))


class TestAtomicWrites:
    def test_the_old_file_stays_when_writing_fails(self, tmp_path: Path) -> None:
        file = tmp_path / "a.json"
        write_atomic(file, "old")
        with pytest.raises(UnicodeEncodeError):
            write_atomic(file, "new \ud800")
        assert file.read_text() == "old" and [item.name for item in tmp_path.iterdir()] == ["a.json"], "nothing half takes up space"

    def test_no_partial_file_is_left(self, tmp_path: Path) -> None:
        write_atomic(tmp_path / "deep" / "a.json", "text")
        assert [item.name for item in (tmp_path / "deep").iterdir()] == ["a.json"]


def read_back(store: Store, rows: list[Example]) -> list[Example]:
    name, line = opening(store, rows)
    return store.open_test(name, line)[0]


class TestRows:
    def test_rows_are_found_by_their_content(self, store: Store) -> None:
        rows = [example(1), example(2)]
        name, digest = store.seal_rows(rows)
        assert name == f"{digest[:16]}.jsonl" and read_back(store, rows) == rows
        assert store.seal_rows(rows) == (name, digest) and store.seal_rows(rows[:1])[0] != name

    @given(text=st.text(st.characters(exclude_categories=["Cs"])))
    def test_any_text_comes_back(self, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
        store = Store(tmp_path_factory.mktemp("rows"))
        rows = [example(1, text), example(2, f"a\u2028b\u0085c\rd\x1ce{text}")]
        assert read_back(store, rows) == rows

    def test_changed_rows_are_refused(self, store: Store) -> None:
        name, line = opening(store, [example(1)])
        file = store.sealed / name
        file.write_text(file.read_text().replace("Fine", "Bad"))
        with pytest.raises(FolderError, match="content does not match its name"):
            store.open_test(name, line)

    def test_missing_rows_are_named(self, store: Store) -> None:
        _, line = opening(store, [example(1)])
        with pytest.raises(FolderError, match=r"0123\.jsonl: rows file is missing"):
            store.open_test("0123.jsonl", line)

    def test_another_system_line_makes_no_other_row_of_the_ledger(self) -> None:
        system = Message(role="system", content="Be brief.")
        other = example(1).model_copy(update={"messages": (system, *example(1).messages)})
        assert row_hash(other) == row_hash(example(1)) and content_hash(other) != content_hash(example(1))

    def test_the_content_hash_sees_all_but_the_place(self) -> None:
        assert content_hash(example(1)) == content_hash(example(1).model_copy(update={"source": "elsewhere:3"}))
        for change in ({"id": "other"}, {"group": "g"}, {"label": "l"}):
            assert content_hash(example(1)) != content_hash(example(1).model_copy(update=change))

    def test_the_hash_of_a_row_is_what_it_says(self) -> None:
        assert row_hash(example(1)) == row_hash(example(1).model_copy(update={"id": "other", "source": "elsewhere:3"}))
        assert row_hash(example(1)) != row_hash(example(2))

    def test_predictions_keep_any_text(self, store: Store, tmp_path: Path) -> None:
        written = [Prediction(example_id="r1", text="a\u2028b\nc"), Prediction(example_id="r2", text=None, error="too long")]
        path = store.write_predictions("test-plain", written)
        assert not Path(path).is_absolute()
        assert [Prediction.model_validate_json(line) for line in lines_of(tmp_path / path)] == written


def opening(store: Store, rows: list[Example], *, spec: str = "s1", candidates: tuple[str, ...] = ("c1", "c2")) -> tuple[str, Opening]:
    """Seal these rows; the file's name and the line for reading them."""
    name, digest = store.seal_rows(rows)
    hashes = tuple(row_hash(row) for row in rows)
    return name, Opening(at="now", reason="proof", run="r", spec=spec, test_sha256=digest, row_hashes=hashes, candidates=candidates)


class TestSeal:
    rows = [example(number) for number in range(6)]

    def test_the_first_opening_is_written_down(self, store: Store) -> None:
        name, line = opening(store, self.rows)
        assert store.openings() == []
        assert store.open_test(name, line) == (self.rows, 1)
        assert store.openings() == [line]

    def test_the_ledger_is_written_before_the_rows_are_read(self, store: Store) -> None:
        name, line = opening(store, self.rows)
        (store.sealed / name).unlink()
        with pytest.raises(FolderError, match="missing"):
            store.open_test(name, line)
        assert store.openings() == [line]

    def test_the_same_candidates_under_the_same_spec_are_one_opening(self, store: Store) -> None:
        name, line = opening(store, self.rows)
        for at in ("now", "later"):
            assert store.open_test(name, line.model_copy(update={"at": at, "run": at}))[1] == 1
        assert len(store.openings()) == 1

    def test_every_other_spec_or_set_of_candidates_counts(self, store: Store) -> None:
        name, line = opening(store, self.rows)
        assert store.open_test(name, line)[1] == 1
        assert store.open_test(name, line.model_copy(update={"spec": "s2"}))[1] == 2
        assert store.open_test(name, line.model_copy(update={"candidates": ("c1",)}))[1] == 3
        assert [store.open_test(name, line)[1], store.open_test(name, line.model_copy(update={"spec": "s2"}))[1]] == [1, 2]

    def test_rows_that_were_seen_count_under_another_split(self, store: Store) -> None:
        store.open_test(*opening(store, self.rows[:3]))
        assert store.open_test(*opening(store, self.rows[2:5]))[1] == 2
        assert store.open_test(*opening(store, self.rows[5:]))[1] == 1  # never seen
        renamed = [row.model_copy(update={"id": f"new-{row.id}"}) for row in self.rows[:1]]
        assert store.open_test(*opening(store, renamed))[1] == 2

    def test_changed_sealed_rows_are_refused(self, store: Store) -> None:
        name, line = opening(store, self.rows)
        file = store.sealed / name
        file.write_text(file.read_text().replace("Fine", "Bad", 1))
        with pytest.raises(FolderError, match="content does not match its name"):
            store.open_test(name, line)

    def test_half_a_line_of_a_killed_process_is_dropped(self, store: Store) -> None:
        name, line = opening(store, self.rows)
        store.open_test(name, line)
        with store.ledger_file.open("a") as file:
            file.write('{"at":"now","rea')
        assert store.openings() == [line]
        second = line.model_copy(update={"spec": "s2"})
        assert store.open_test(name, second)[1] == 2
        assert store.openings() == [line, second]

    def test_a_whole_last_line_without_its_line_feed_is_kept(self, store: Store) -> None:
        name, line = opening(store, self.rows)
        store.open_test(name, line)
        store.ledger_file.write_text(store.ledger_file.read_text().rstrip("\n"))
        second = line.model_copy(update={"spec": "s2"})
        assert store.open_test(name, second)[1] == 2
        assert store.openings() == [line, second]

    @pytest.mark.parametrize("place", [0, 1])
    def test_a_damaged_line_is_an_error(self, store: Store, place: int) -> None:
        name, line = opening(store, self.rows)
        store.open_test(name, line)
        store.open_test(name, line.model_copy(update={"spec": "s2"}))
        lines = lines_of(store.ledger_file)
        lines[place] = lines[place][:-9]
        store.ledger_file.write_text("\n".join(lines) + "\n")
        with pytest.raises(FolderError, match=rf"ledger\.jsonl:{place + 1}: the ledger is damaged"):
            store.open_test(name, line)


HOLD = """
import sys
from pathlib import Path
from provetune.store import Store
with Store(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


class TestLock:
    def test_another_process_is_refused_while_one_runs(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", HOLD, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ), text=True) as other:
            assert other.stdin is not None and other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(FolderError, match=rf"another run is active \(process {other.pid}\)"), Store(tmp_path).locked():
                pass
            other.stdin.close()
            other.wait(timeout=20)
        with Store(tmp_path).locked():
            assert (tmp_path / ".provetune" / "lock").read_text() == str(os.getpid())

    def test_the_lock_is_free_again_after_a_failure(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError), Store(tmp_path).locked():
            raise RuntimeError("stopped")
        with Store(tmp_path).locked():
            pass


def test_a_run_that_only_looks_leaves_the_latest_where_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(FolderError, match="found no run with a decision"):
        store.decided_run()
    first = store.open_run("aaaa", leads=False)
    assert store.runs.joinpath("latest").resolve() == first  # it is the only one
    run = store.open_run("bbbb")
    write_atomic(run / "evidence.json", "{}")
    store.open_run("cccc", leads=False)
    assert store.runs.joinpath("latest").resolve() == run == store.decided_run()
    store.open_run("dddd")
    assert store.runs.joinpath("latest").resolve() != run == store.decided_run()


def test_records_of_a_kind_are_found_and_damaged_ones_left_out(store: Store) -> None:
    store.once(KEY, Dataset, lambda: dataset())
    (store.current / "records" / "broken.json").write_text("{")
    assert records_in(store.current, Dataset) == [dataset()] and records_in(store.current, Split) == []


def test_a_step_is_kept_once_and_a_later_run_is_not_earlier(tmp_path: Path) -> None:
    def make(key: str, name: str) -> Store:
        found = Store(tmp_path)
        (tmp_path / "runs" / f"{name}-{key}" / "records").mkdir(parents=True, exist_ok=True)
        found.open_run(key)
        found.once(StepKey("data", 1, {"key": key}), Dataset, lambda: Dataset(path=key, rows_sha256="0", count=1))
        return found

    first, second = make("aaaa", "20260101T000000"), make("bbbb", "20260102T000000")
    assert [kept.path for kept in first.kept("data", Dataset)] == ["aaaa", "bbbb"]  # `runs/latest` is no third
    assert [kept.path for kept in second.kept("data", Dataset, own=False)] == ["aaaa"]
    assert first.kept("data", Dataset, own=False) == []
