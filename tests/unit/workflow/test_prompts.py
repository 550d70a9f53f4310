"""What a project file makes of prompts and decoding, and every strategy on real data with the starter."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from provetune.errors import Notice, SpecError
from provetune.models.asking import ask
from provetune.models.locate import STARTER
from provetune.models.scripted import ScriptedGenerator
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.protocols import ShotPicker
from provetune.records.candidate import Candidate
from provetune.scoring import Yardstick, measure
from provetune.workflow.project import Project, open_project
from provetune.workflow.prompts import foresee_prompts, generation_settings, prompt_candidates, with_shots

Rows = Sequence[tuple[str, str]]
LABELLED = [
    (f"question {k} about {['money', 'parcel', 'invoice'][k % 3]} {k * 7919}", ("refund", "delivery", "billing")[k % 3]) for k in range(60)
]
SCHEMA = {"type": "object", "properties": {"zebra": {"type": "string"}, "apple": {"type": "integer"}}, "required": ["zebra"]}
FACTS = [(f"a zebra called {k} with {k} apples", json.dumps({"zebra": str(k), "apple": k})) for k in range(40)]


def silent(what: str, done: int, total: int) -> None: ...


def opened(folder: Path, rows: Rows, task: str, more: str = "", base: str | Path = "starter") -> Project:
    """A project of these rows; `task` and `more` are YAML."""
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "target"), *rows])
    (folder / "schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    text = (
        f"version: 1\nname: rows\ndata: {{path: rows.csv, columns: {{prompt: text, target: target}}}}\nbase: {base}\ntask: {task}\n{more}"
    )
    (folder / "provetune.yaml").write_text(text, encoding="utf-8")
    return open_project(folder, (), silent)


def candidates(project: Project) -> dict[str, list[Candidate]]:
    return prompt_candidates(project, project.examples, generation_settings(project, project.examples))


class TestCandidates:
    def test_what_is_measured_follows_the_file(self, tmp_path: Path) -> None:
        more = "baselines:\n- role\n- {name: few-shot, pick: similar, called: near}\n"
        more += "prove: {against: [few-shot+role, near, linear, zero-shot]}\n"
        found = candidates(opened(tmp_path, LABELLED, "classify", more))
        assert list(found) == ["few-shot+role", "near", "zero-shot", "role"]
        assert {name: len(variants) for name, variants in found.items()} == {"few-shot+role": 2, "near": 1, "zero-shot": 1, "role": 1}
        near = found["near"][0].prompt
        assert near.similar is not None and near.similar.nearest == "last" and near.shots == ()
        assert {c.generation.decoding for variants in found.values() for c in variants} == {"constrained"}

    @pytest.mark.parametrize(
        ("order", "pick", "same"), [("auto", "balanced", True), ("drawn", "balanced", True), ("reversed", "balanced", False)]
    )
    def test_order(self, tmp_path: Path, order: str, pick: str, same: bool) -> None:
        more = f"baselines:\n- few-shot\n- {{name: few-shot, called: other, order: {order}, pick: {pick}}}\n"
        found = candidates(opened(tmp_path, LABELLED, "classify", more))
        assert (found["few-shot"][0].prompt == found["other"][0].prompt) == same
        assert set(found["few-shot"][0].prompt.shot_ids) == set(found["other"][0].prompt.shot_ids)

    def test_the_nearest_shot_may_stand_first(self, tmp_path: Path) -> None:
        for order, nearest in (("drawn", "first"), ("reversed", "last"), ("auto", "last")):
            more = f"baselines: [{{name: few-shot, called: near, pick: similar, order: {order}}}]\n"
            similar = candidates(opened(tmp_path, LABELLED, "classify", more))["near"][0].prompt.similar
            assert similar is not None and similar.nearest == nearest

    def test_thoughts_are_written_freely_and_take_what_room_there_is(self, tmp_path: Path) -> None:
        more = "baselines: [{name: chain-of-thought, reasoning: 40}]\nprove: {against: zero-shot}\n"
        found = candidates(opened(tmp_path, LABELLED, "classify", more))
        [thinking], [plain] = found["chain-of-thought"], found["zero-shot"]
        assert thinking.generation.decoding == "free" and plain.generation.decoding == "constrained"
        assert thinking.generation.max_new_tokens == plain.generation.max_new_tokens + 40
        # the longest row leaves 80 tokens beside the instruction: 128 thoughts shrink to 64, then to 32
        more = "baselines: [chain-of-thought]\nprove: {against: linear}\n"
        long = opened(tmp_path, [("word " * 900, "refund"), *LABELLED[1:]], "classify", more)
        [short] = candidates(long)["chain-of-thought"]
        assert 32 <= short.generation.max_new_tokens - plain.generation.max_new_tokens < 128
        with pytest.raises(SpecError, match="found no room for the instruction"):
            candidates(opened(tmp_path, [("word " * 960, "refund"), *LABELLED[1:]], "classify", more))

    def test_a_text_of_the_project_is_used(self, tmp_path: Path) -> None:
        (tmp_path / "prompts").mkdir()
        (tmp_path / "prompts" / "classify.txt").write_text("Which of {labels}?\n", encoding="utf-8")
        [zero] = candidates(opened(tmp_path, LABELLED, "classify"))["zero-shot"]
        assert zero.prompt.system == "Which of billing, delivery, refund?"

    def test_labels_are_described(self, tmp_path: Path) -> None:
        task = "{type: classify, descriptions: {refund: wants money back}}"
        [found] = candidates(opened(tmp_path, LABELLED, task, "baselines: [described]\n"))["described"]
        assert "- refund: wants money back" in (found.prompt.system or "")

    def test_shots_of_each_row_can_be_built_again_from_the_record(self, tmp_path: Path) -> None:
        project = opened(tmp_path, LABELLED, "classify", "baselines: [{name: few-shot, pick: similar, k: 3}]\n")
        train, rows = project.examples[:40], project.examples[40:]
        [candidate] = prompt_candidates(project, train, generation_settings(project, train))["few-shot"]
        generator = with_shots(project, train, ScriptedGenerator({row.prompt_text: row.target for row in rows}))
        evaluation, predictions = measure(candidate, generator, rows, Yardstick("classify", project.labels, "validation"), silent)
        assert evaluation.summary["accuracy"].value == 1.0 and evaluation.shots_left_out == 0
        assert isinstance(generator, ShotPicker)
        again = Candidate.from_json(candidate.to_json())
        known = {row.id: row for row in train}
        for picked, prediction in zip(generator.pick(again.prompt, rows), predictions, strict=True):
            assert tuple(known[key] for key in prediction.shot_ids) == picked and len(picked) == 3


class TestDecoding:
    @pytest.mark.parametrize(
        ("task", "prove", "decoding"),
        [
            ("classify", "", "constrained"),
            ("classify", "free", "free"),
            ("classify", "scored", "scored"),
            ("{type: extract, schema: schema.json}", "", "free"),
            ("{type: extract, schema: schema.json}", "constrained", "constrained"),
            ("generate", "", "free"),
        ],
    )
    def test_it_has_a_name(self, tmp_path: Path, task: str, prove: str, decoding: str) -> None:
        more = f"prove: {{decoding: {prove}}}\n" if prove else ""
        project = opened(tmp_path, LABELLED if task == "classify" else FACTS, task, more)
        assert generation_settings(project, project.examples).decoding == decoding

    def test_the_schema_keeps_the_order_of_its_keys(self, tmp_path: Path) -> None:
        project = opened(tmp_path, FACTS, "{type: extract, schema: schema.json}", "prove: {decoding: constrained}\n")
        settings = generation_settings(project, project.examples)
        assert settings.json_schema == json.dumps(SCHEMA, separators=(",", ":")) and settings.choices == ()
        [found] = prompt_candidates(project, project.examples, settings)["zero-shot"]
        asked = ask(found, TransformersGenerator(load_model(STARTER), project.tokenizer), project.examples[:2], silent)
        for completion in asked.completions:
            assert completion.text is not None and completion.text.startswith('{"zebra":')

    @pytest.mark.parametrize(
        ("task", "prove", "wanted"),
        [
            ("generate", "decoding: scored", "needs labels; task generate has none"),
            ("extract", "decoding: constrained", r"needs labels or task\.schema"),
            ("classify", "calibration: batch", "needs prove.decoding: scored"),
        ],
    )
    def test_what_cannot_be_decoded_so(self, tmp_path: Path, task: str, prove: str, wanted: str) -> None:
        with pytest.raises(SpecError, match=wanted):
            opened(tmp_path, LABELLED if task == "classify" else FACTS, task, f"prove: {{{prove}}}\n")


ALL = (
    "baselines:\n- zero-shot\n- few-shot\n- role\n- chain-of-thought\n- few-shot+chain-of-thought\n- role+few-shot+chain-of-thought\n"
    "- {name: few-shot, pick: random, called: random}\n- {name: few-shot, pick: diverse, called: diverse}\n"
    "- {name: few-shot, pick: similar, called: similar}\n- {name: few-shot+chain-of-thought, pick: similar, called: similar thoughts}\n"
)
DESCRIBED = "- described\n- role+described+few-shot\n"


def public_rows(folder: Path, name: str) -> Rows:
    """300 rows, evenly spaced, of a public data set."""
    rows: list[tuple[str, str]]
    if name == "banking77":
        with (folder / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
            rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    elif name == "clinc150":
        rows = [(text, label) for text, label in json.loads((folder / "clinc150" / "data_small.json").read_text("utf-8"))["train"]]
    elif name == "snips":
        files = sorted((folder / "snips").glob("*/validate_*.json"))
        said = {file.parent.name: next(iter(json.loads(file.read_text("utf-8")).values())) for file in files}
        rows = [("".join(part["text"] for part in one["data"]), label) for label, ones in said.items() for one in ones]
    else:
        with (folder / "e2e_nlg" / "devset.csv").open(encoding="utf-8", newline="") as file:
            rows = [(row["mr"], row["ref"]) for row in csv.DictReader(file)]
    return [row for row in rows[:: max(1, len(rows) // 300)] if row[0].strip()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["banking77", "clinc150", "snips", "e2e_nlg"])
def test_every_strategy_runs_on_real_data_with_the_starter(tmp_path: Path, public_data: Path, name: str) -> None:
    rows = public_rows(public_data, name)
    labels = sorted({label for _, label in rows})
    told = ", ".join(f"{json.dumps(label)}: {json.dumps(label.replace('_', ' '))}" for label in labels[:8])
    task = "generate" if name == "e2e_nlg" else f"{{type: classify, descriptions: {{{told}}}}}"
    project = opened(tmp_path, rows, task, ALL + (DESCRIBED if name == "snips" else ""))
    few, train = project.examples[:6], project.examples[6:]
    base = with_shots(project, train, TransformersGenerator(load_model(STARTER), project.tokenizer))
    found = prompt_candidates(project, train, generation_settings(project, train))
    assert len(found) == (12 if name == "snips" else 10)
    for variants in found.values():
        candidate = variants[0]
        evaluation, predictions = measure(candidate, base, few, Yardstick(project.spec.task.type, project.labels, "validation"), silent)
        assert evaluation.not_measured == 0 and len(predictions) == 6
        if candidate.prompt.similar is not None:
            assert all(prediction.shot_ids for prediction in predictions)
            assert not {key for p in predictions for key in p.shot_ids} - {row.id for row in train}
        elif "few-shot" in candidate.prompt.strategy:
            assert candidate.prompt.shots
        if candidate.generation.decoding == "constrained":
            assert evaluation.parsed.value == 1.0
    if name != "e2e_nlg":
        for calibration in ("none", "contextual", "batch"):
            settings = generation_settings(project, train).model_copy(update={"scored": True, "calibration": calibration})
            candidate = found["zero-shot"][0].model_copy(update={"generation": settings})
            asked = ask(candidate, base, few[:3], silent)
            assert all(sum(row) == pytest.approx(1) for row in asked.probabilities) and {c.text for c in asked.completions} <= set(labels)


def test_a_prompt_for_which_there_is_no_room_is_foreseen(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    foresee_prompts(opened(tmp_path, LABELLED, "classify"))
    assert not recwarn
    long = [(f"{text} " + "and so on and on " * 160, label) for text, label in LABELLED]
    with pytest.warns(Notice, match="`provetune run` will stop: .*few-shot"):
        foresee_prompts(opened(tmp_path, long, "classify"))
