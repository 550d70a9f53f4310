"""Completions are kept and not asked for twice: what is asked, what is kept, what a key holds, and a file that goes wrong."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provetune.errors import SpecError
from provetune.models import responses
from provetune.models.lazy import LazyGenerator
from provetune.models.responses import CachedGenerator, Identity, ResponseCache
from provetune.models.scripted import ScriptedGenerator
from provetune.protocols import Completion, Generator, Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message

GREEDY = GenerationSettings(max_new_tokens=4)
BASE = Identity("weights", "", "template")


class Counting:
    """Writes the prompt's last turn and its place in the call; remembers its calls; is interrupted at call `stop_at`."""

    def __init__(self, lost: Sequence[str] = (), stop_at: int | None = None) -> None:
        self.lost, self.stop_at = lost, stop_at
        self.calls: list[list[str]] = []

    @property
    def asked(self) -> list[str]:
        return [text for call in self.calls for text in call]

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        self.calls.append([messages[-1].content for messages in prompts])
        progress("completions", len(prompts) // 2, len(prompts))
        texts = [f"{messages[-1].content}, place {place}" for place, messages in enumerate(prompts)]
        lost = [messages[-1].content in self.lost for messages in prompts]
        return [Completion(None, 3, 0, False, "lost") if no else Completion(text, 3, 1, True) for text, no in zip(texts, lost, strict=True)]


def asked(*texts: str) -> list[list[Message]]:
    return [[Message(role="user", content=text)] for text in texts]


def silent(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def refused() -> Generator:
    pytest.fail("the generator was loaded")


def texts_of(generator: Generator, *texts: str, how: GenerationSettings = GREEDY) -> list[str | None]:
    return [completion.text for completion in generator.generate(asked(*texts), how, silent)]


@pytest.fixture
def cache(tmp_path: Path) -> ResponseCache:
    return ResponseCache(tmp_path / ".provetune" / "responses.sqlite")


class TestAsking:
    def test_a_second_call_asks_nothing_and_loads_nothing(self, cache: ResponseCache) -> None:
        first = CachedGenerator(Counting(), cache, BASE)
        wanted = first.generate(asked("one", "three", "two"), GREEDY, silent)
        again = CachedGenerator(LazyGenerator(refused), ResponseCache(cache.file), BASE)
        assert again.generate(asked("two", "one"), GREEDY, silent) == [wanted[2], wanted[0]]
        assert (first.asked, first.answered_from_cache) == (3, 0) and (again.asked, again.answered_from_cache) == (0, 2)
        assert CachedGenerator(LazyGenerator(refused), cache, BASE).generate([], GREEDY, silent) == []

    def test_equal_prompts_are_asked_once(self, cache: ResponseCache) -> None:
        model = Counting(lost=("lost",))
        generator = CachedGenerator(model, cache, BASE)
        found = ["b, place 0", "a, place 1", "b, place 0", None, "b, place 0", None]
        assert texts_of(generator, "b", "a", "b", "lost", "b", "lost") == found and model.calls == [["b", "a", "lost"]]

    def test_what_could_not_be_had_is_asked_again(self, cache: ResponseCache) -> None:
        model = Counting(lost=("lost",))
        generator = CachedGenerator(model, cache, BASE)
        for _ in range(2):
            assert texts_of(generator, "a", "lost")[1] is None
        model.lost = ()
        assert texts_of(generator, "lost", "a") == ["lost, place 0", "a, place 0"]
        assert model.calls == [["a", "lost"], ["lost"], ["lost"]]

    def test_progress_counts_what_is_known_and_never_goes_back(self, cache: ResponseCache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(responses, "CHUNK_PROMPTS", 4)
        generator = CachedGenerator(Counting(), cache, BASE)
        generator.generate(asked("a", "b", "c"), GREEDY, silent)
        seen: list[tuple[int, int]] = []
        generator.generate(asked(*"abcdefghija"), GREEDY, lambda what, done, total: seen.append((done, total)))
        assert seen[0] == (4, 11) and seen[-1] == (11, 11) and seen == sorted(seen)

    @settings(max_examples=25, deadline=None)
    @given(
        calls=st.lists(st.lists(st.sampled_from(["a", "bb", "ccc", "dddd", "é", ""]), max_size=9), max_size=5),
        lost=st.sets(st.sampled_from(["a", "ccc"])),
        chunk=st.integers(1, 4),
    )
    def test_as_without_it_and_nothing_twice(self, calls: list[list[str]], lost: set[str], chunk: int) -> None:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(responses, "CHUNK_PROMPTS", chunk)
            model = Counting(lost=tuple(lost))
            generator = CachedGenerator(model, ResponseCache(Path(folder) / "responses.sqlite"), BASE)
            for texts in calls:
                before = len(model.asked)
                found = texts_of(generator, *texts)
                assert [None if text is None else text.partition(",")[0] for text in found] == [None if t in lost else t for t in texts]
                once = model.asked[before:]
                assert len(once) == len(set(once)) and set(once) <= set(texts)
            kept = [text for text in model.asked if text not in lost]
            assert len(kept) == len(set(kept))
            assert generator.asked == len(model.asked) and generator.asked + generator.answered_from_cache == sum(map(len, calls))


class TestLikelihoods:
    NUMBERS = {"a": {"x": -1.5, "y": -0.1}, "b": {"x": -2.0, "y": -3.0}}

    def test_they_are_kept_as_completions_are(self, cache: ResponseCache) -> None:
        model = CachedGenerator(ScriptedGenerator({"a": "text"}, self.NUMBERS), cache, BASE)
        first = model.loglikelihood(asked("a", "b", "a", "lost"), [("x", "y")] * 4, silent)
        assert [found.nats for found in first] == [(-1.5, -0.1), (-2.0, -3.0), (-1.5, -0.1), None]
        assert (model.asked, model.answered_from_cache) == (3, 1)
        again = CachedGenerator(LazyGenerator(refused), ResponseCache(cache.file), BASE)
        assert again.loglikelihood(asked("b", "a"), [("x", "y")] * 2, silent) == [first[1], first[0]]

    def test_other_choices_and_completions_are_asked_themselves(self, cache: ResponseCache) -> None:
        model = CachedGenerator(ScriptedGenerator({"a": "text"}, self.NUMBERS), cache, BASE)
        for choices, wanted in ((("x", "y"), (-1.5, -0.1)), (("y", "x"), (-0.1, -1.5)), (("x",), (-1.5,))):
            assert model.loglikelihood(asked("a"), [choices], silent)[0].nats == wanted
        assert texts_of(model, "a") == ["text"] and model.asked == 4

    def test_who_cannot_say_is_named(self, cache: ResponseCache) -> None:
        with pytest.raises(SpecError, match="Counting does not say"):
            CachedGenerator(Counting(), cache, BASE).loglikelihood(asked("a"), [("x",)], silent)


class TestInterrupted:
    TEXTS = tuple("x" * (1 + number * 7 % 10) + str(number) for number in range(10))

    def test_the_rest_is_asked_as_it_would_have_been(self, cache: ResponseCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(responses, "CHUNK_PROMPTS", 3)
        whole, cut, rest = Counting(), Counting(stop_at=2), Counting()
        wanted = texts_of(CachedGenerator(whole, ResponseCache(tmp_path / "whole.sqlite"), BASE), *self.TEXTS)
        with pytest.raises(KeyboardInterrupt):
            texts_of(CachedGenerator(cut, cache, BASE), *self.TEXTS)
        assert texts_of(CachedGenerator(rest, cache, BASE), *self.TEXTS) == wanted
        assert cut.calls + rest.calls == whole.calls and [len(call) for call in whole.calls] == [3, 3, 3, 1]

    def test_prompts_of_similar_length_go_together(self, cache: ResponseCache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(responses, "CHUNK_PROMPTS", 3)
        model = Counting()
        texts_of(CachedGenerator(model, cache, BASE), *self.TEXTS)
        lengths = [len(text) for text in model.asked]
        assert lengths == sorted(lengths)

    def test_a_killed_process_leaves_what_it_had(self, tmp_path: Path) -> None:
        script = """
import os, signal, sys
from pathlib import Path
from provetune.models import responses
from provetune.protocols import Completion
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
responses.CHUNK_PROMPTS = 3
class Dying:
    calls = 0
    def generate(self, prompts, settings, progress):
        self.calls += 1
        if self.calls == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return [Completion(messages[-1].content.upper(), 3, 1, True) for messages in prompts]
cache = responses.ResponseCache(Path(sys.argv[1]))
generator = responses.CachedGenerator(Dying(), cache, responses.Identity("weights", "", "template"))
prompts = [[Message(role="user", content=text)] for text in sys.argv[2:]]
generator.generate(prompts, GenerationSettings(max_new_tokens=4), lambda *_: None)
"""
        file = tmp_path / "responses.sqlite"
        texts = [f"text {number}" for number in range(9)]
        done = subprocess.run([sys.executable, "-c", script, str(file), *texts], check=False, timeout=120)
        assert done.returncode == -signal.SIGKILL
        model = Counting()
        found = texts_of(CachedGenerator(model, ResponseCache(file), BASE), *texts)
        assert found[:6] == [text.upper() for text in texts[:6]] and model.asked == texts[6:]


class TestKey:
    DRAWN = GenerationSettings(max_new_tokens=4, temperature=0.5)
    TURNS = (Message(role="system", content="Be brief."), Message(role="user", content="Hello"))

    @pytest.mark.parametrize(
        "other",
        [
            replace(BASE, weights_sha256="tuned"),
            replace(BASE, adapter_sha256="adapter"),
            replace(BASE, template="other"),
            Identity("", "weights", "template"),
        ],
    )
    def test_another_model_is_asked_itself(self, cache: ResponseCache, other: Identity) -> None:
        CachedGenerator(Counting(), cache, BASE).generate([self.TURNS], GREEDY, silent)
        model = Counting()
        CachedGenerator(model, cache, other).generate([self.TURNS], GREEDY, silent)
        assert model.asked == ["Hello"]

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (GREEDY, GenerationSettings(max_new_tokens=5)),
            (GREEDY, GenerationSettings(max_new_tokens=4, choices=("a", "b"))),
            (GenerationSettings(choices=("a", "b")), GenerationSettings(choices=("b", "a"))),
            (GenerationSettings(choices=("a", "b")), GenerationSettings(choices=("a,b",))),
            (GREEDY, GenerationSettings(max_new_tokens=4, json_schema="{}")),
            (GREEDY, DRAWN),
            (DRAWN, DRAWN.model_copy(update={"temperature": 0.6})),
            (DRAWN, DRAWN.model_copy(update={"top_p": 0.9})),
            (DRAWN, DRAWN.model_copy(update={"seed": 1})),
        ],
    )
    def test_other_settings_are_asked_anew(self, cache: ResponseCache, before: GenerationSettings, after: GenerationSettings) -> None:
        model = Counting()
        generator = CachedGenerator(model, cache, BASE)
        for how in (before, before, after, after):
            generator.generate([self.TURNS], how, silent)
        assert model.asked == ["Hello", "Hello"]

    @pytest.mark.parametrize(
        "other",
        [
            TURNS[1:],
            (Message(role="user", content="Be brief."), TURNS[1]),
            (*TURNS, Message(role="assistant", content="Hello")),
            (TURNS[0], Message(role="user", content="Hello ")),
            (Message(role="system", content="Be brief.Hello"), Message(role="user", content="")),
            (TURNS[0], Message(role="user", name="Ada", content="Hello")),
        ],
    )
    def test_another_prompt_is_asked_itself(self, cache: ResponseCache, other: tuple[Message, ...]) -> None:
        model = Counting()
        generator = CachedGenerator(model, cache, BASE)
        for prompt in (self.TURNS, other, self.TURNS, other):
            generator.generate([prompt], GREEDY, silent)
        assert model.asked == ["Hello", other[-1].content]

    def test_another_version_of_the_package_asks_anew(self, cache: ResponseCache, monkeypatch: pytest.MonkeyPatch) -> None:
        model = Counting()
        texts_of(CachedGenerator(model, cache, BASE), "Hello")
        monkeypatch.setattr(responses, "__version__", "next")
        texts_of(CachedGenerator(model, cache, BASE), "Hello")
        assert model.asked == ["Hello", "Hello"]

    def test_no_prompt_is_kept(self, cache: ResponseCache) -> None:
        texts_of(CachedGenerator(Counting(lost=("a secret",)), cache, BASE), "a secret", "other")
        assert b"other, place" in cache.file.read_bytes() and b"a secret" not in cache.file.read_bytes()


class TestDraws:
    HOW = GenerationSettings(max_new_tokens=4, temperature=1.0, seed=5)

    def test_draws_are_those_of_the_whole_call(self, cache: ResponseCache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(responses, "CHUNK_PROMPTS", 2)
        model = Counting()
        generator = CachedGenerator(model, cache, BASE)
        wanted = ["a, place 0", "a, place 1", "bb, place 2", "a, place 3"]
        assert texts_of(generator, "a", "a", "bb", "a", how=self.HOW) == wanted
        assert texts_of(generator, "a", "a", "bb", "a", how=self.HOW) == wanted and len(model.calls) == 1
        assert texts_of(generator, "a", "c", how=self.HOW) == ["a, place 0", "c, place 1"]
        assert model.calls[1] == ["a", "c"]


class TestFile:
    def test_any_text_comes_back_as_it_was(self, cache: ResponseCache) -> None:
        texts = ["", "a\x00b", "déjà\n\u2028\ud800", "x" * 100_000, '{"a": 1}']
        kept = {str(place): Completion(text, place, 2, place % 2 == 0) for place, text in enumerate(texts)}
        cache.write(kept)
        assert ResponseCache(cache.file).read([*kept, "absent"]) == kept

    @pytest.mark.parametrize("damage", ["text", "middle", "cut"])
    def test_a_damaged_file_is_set_aside(self, tmp_path: Path, damage: str) -> None:
        file = tmp_path / "responses.sqlite"
        texts = [f"{number} {'x' * 300}" for number in range(200)]
        wanted = [f"{text}, place {place}" for place, text in enumerate(sorted(texts, key=len))]
        found = texts_of(CachedGenerator(Counting(), ResponseCache(file), BASE), *texts)
        assert sorted(map(str, found)) == sorted(wanted)
        whole = file.read_bytes()
        middle = whole[:4096] + b"\xff" * (len(whole) - 4096)
        file.write_bytes({"text": b"no data base\n" * 100, "middle": middle, "cut": whole[: len(whole) // 2]}[damage])
        broken = file.read_bytes()
        model = Counting()
        with pytest.warns(UserWarning, match="set aside as responses.sqlite.damaged"):
            assert texts_of(CachedGenerator(model, ResponseCache(file), BASE), *texts) == found
        assert len(model.asked) == 200 and file.with_name("responses.sqlite.damaged").read_bytes() == broken
        assert texts_of(CachedGenerator(LazyGenerator(refused), ResponseCache(file), BASE), *texts) == found

    @pytest.mark.parametrize("nonsense", ["", "[]", "{}", '{"texts": 1}', "null"])
    def test_a_row_that_is_not_ours_is_asked_again(self, cache: ResponseCache, nonsense: str) -> None:
        model = Counting()
        for _ in range(2):
            assert texts_of(CachedGenerator(model, cache, BASE), "a") == ["a, place 0"]
            with closing(sqlite3.connect(cache.file)) as connection, connection:
                connection.execute("UPDATE responses SET completion = ?", (nonsense,))
        assert model.asked == ["a", "a"]

    @pytest.mark.parametrize("place", ["below a file", "a folder"])
    def test_where_nothing_can_be_written_it_works_on_and_says_so_once(self, tmp_path: Path, place: str) -> None:
        file = tmp_path / "file" / "responses.sqlite" if place == "below a file" else tmp_path
        (tmp_path / "file").write_text("")
        said: list[str] = []
        model = Counting()
        generator = CachedGenerator(model, ResponseCache(file, said.append), BASE)
        for _ in range(2):
            assert texts_of(generator, "a", "a") == ["a, place 0", "a, place 0"]
        assert model.asked == ["a", "a"] and (generator.asked, generator.answered_from_cache) == (2, 2)
        assert len(said) == 1 and "cannot be used" in said[0]

    def test_a_full_disk_is_said_once(self, cache: ResponseCache) -> None:
        script = """
import resource, signal, sys, warnings
from pathlib import Path
from provetune.models.responses import ResponseCache
from provetune.protocols import Completion
cache = ResponseCache(Path(sys.argv[1]), print)
cache.write({"small": Completion("kept", 0, 0, True)})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for _ in range(2):
    cache.write({"large": Completion("x" * 1_000_000, 0, 0, True)})
"""
        done = subprocess.run([sys.executable, "-c", script, str(cache.file)], capture_output=True, text=True, check=True, timeout=120)
        assert done.stdout.count("cannot be used") == 1
        assert cache.read(["small", "large"]) == {"small": Completion("kept", 0, 0, True)}

    def test_two_processes_share_a_file(self, cache: ResponseCache) -> None:
        script = """
import sys
from pathlib import Path
from provetune.models.responses import ResponseCache
from provetune.protocols import Completion
mine, cache = sys.argv[2], ResponseCache(Path(sys.argv[1]))
for number in range(20):
    cache.write({f"{mine} {number}": Completion(mine, number, 0, True), f"both {number}": Completion("both", number, 0, True)})
    assert cache.read([f"{mine} {number}"])[f"{mine} {number}"].text == mine
"""
        command = [sys.executable, "-W", "error", "-c", script, str(cache.file)]
        running = [subprocess.Popen([*command, name]) for name in ("left", "right")]
        assert [one.wait(timeout=120) for one in running] == [0, 0]
        with warnings.catch_warnings(action="error"):
            found = cache.read([f"{name} {number}" for name in ("left", "right", "both") for number in range(20)])
        assert len(found) == 60 and found["right 19"] == Completion("right", 19, 0, True)
