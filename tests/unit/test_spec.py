"""The project file: forms, mistakes, what is not available, the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from provetune.errors import SpecError
from provetune.spec import ColumnsSpec, DataSpec, ProjectSpec, json_schema, resolve_metric, unavailable
from provetune.spec.text import closest, keys_by_section, load_spec
from provetune.spec.write import minimal_yaml

BASE = "version: 1\nname: router\ndata: rows.jsonl\ntask: classify\n"

MINIMAL = """\
# yaml-language-server: $schema=.provetune/schema.json
version: 1
name: ticket-router
data: data/tickets.jsonl
base: Qwen/Qwen3-0.6B
task: classify            # classify | extract | generate | chat
metric: f1_macro          # locked when the test split is sealed
prove:
  against: [zero-shot, few-shot]
  margin: 0.02            # must beat the best prompt by 2 points
budget:
  max_usd: 20
  max_hours: 2
"""

FULL = """\
version: 1
name: ticket-router
owner: support-analytics
purpose: Route incoming tickets to one of 12 queues
data:
  path: data/tickets.jsonl
  format: auto
  columns: {prompt: subject_body, target: queue, group: customer_id, slice: [language, region]}
  split: {test: 0.2, validation: 0.1, stratify: target, group: customer_id, seed: 7}
  pii: {action: mask, kinds: [email, phone, iban, name]}
  licence: internal
audit:
  fail_on: {truncated_share: 0.01, min_examples: 200}
base:
  model: Qwen/Qwen3-0.6B
  revision: main
  trust_remote_code: false
  licences_allowed: [apache-2.0, mit]
task:
  type: classify
  labels: auto
  system: "You route support tickets. Answer with the queue name only."
  schema: null
  max_new_tokens: 16
baselines:
  - {name: zero-shot}
  - {name: few-shot, k: 8, pick: similar}
  - {name: chain-of-thought}
  - {name: big-model, endpoint: https://example.com/v1, model: some-large-model}
train:
  method: lora
  epochs: auto
  learning_rate: auto
  batch_size: auto
  max_length: auto
  lora: {r: 16, alpha: 32, targets: all-linear, dropout: 0.0}
  replay: {source: general.jsonl, share: 0.1}
  early_stop: {patience: 2}
  seeds: [1, 2, 3]
search: {trials: 0, space: {learning_rate: [5.0e-5, 4.0e-4], lora.r: [8, 16, 32]}}
prove:
  metric: f1_macro
  against: best-baseline
  margin: 0.02
  confidence: 0.95
  rules:
    - {name: retention, suite: general-small, max_drop: 0.02}
    - {name: bias, slice: language, max_gap_increase: 0.03}
    - {name: format, metric: json_validity, min: 0.99}
    - {name: latency, p95_ms: 400}
    - {name: cost, max_usd_per_1k: 0.05}
ship: {form: adapter, push_to_hub: null}
watch:
  source: logs/*.jsonl
  drift: {alpha: 0.05, looks: 26}
  quality: {examples: 50, every: 1w}
  retune_when: {quality_drop: 0.03, drift_weeks: 3, age_months: 6}
budget: {max_usd: 20, max_hours: 2, gpu: any}
tracking: [none]
"""


def _load(folder: Path, text: str, *overrides: str) -> ProjectSpec:
    path = folder / "provetune.yaml"
    path.write_text(text, encoding="utf-8")
    return load_spec(path, overrides)


def _refusal(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        _load(folder, text, *overrides)
    return str(caught.value).splitlines()


def test_minimal_form_gives_what_it_says(tmp_path: Path) -> None:
    spec = _load(tmp_path, MINIMAL)
    assert (spec.data.path, spec.base.model, spec.task.type) == ("data/tickets.jsonl", "Qwen/Qwen3-0.6B", "classify")
    assert (spec.prove.against, spec.budget.max_usd, resolve_metric(spec)) == (["zero-shot", "few-shot"], 20.0, "f1_macro")


def test_full_form_is_valid_and_every_setting_without_effect_is_named() -> None:
    spec = ProjectSpec.model_validate(yaml.safe_load(FULL))
    assert (spec.baselines[3].called, spec.baselines[3].name) == ("big-model", "zero-shot")
    named = [line.partition(": ")[0] for line in unavailable(spec)]
    assert sorted(named) == ["prove.rules"]


def test_unavailable_settings_are_refused_with_their_lines(tmp_path: Path) -> None:
    lines = _refusal(tmp_path, BASE + "train:\n  epochs: 2\nprove: {rules: [{name: cost}]}\n", "budget.gpu=H100")
    assert sorted(lines) == [
        "override of budget.gpu: budget.gpu: not available in this version; remove it",
        "provetune.yaml:7: prove.rules: not available in this version; remove it",
    ]


def test_a_default_written_out_is_not_refused(tmp_path: Path) -> None:
    text = BASE + "base: {trust_remote_code: false}\nship: {form: adapter}\nbudget: {gpu: any}\nwatch: null\n"
    assert _load(tmp_path, text).budget.gpu == "any"


@pytest.mark.parametrize(
    ("addition", "expected"),
    [
        ("train:\n  lerning_rate: 1\n", "provetune.yaml:6: train.lerning_rate: unknown key; did you mean 'learning_rate'?"),
        ("epochs: 3\n", "provetune.yaml:5: epochs: unknown key; did you mean 'train.epochs'?"),
        ("train: {epochs: many}\n", "provetune.yaml:5: train.epochs: found 'many', wanted 'auto' or a whole number"),
        ("train: {epochs: 2.5}\n", "provetune.yaml:5: train.epochs: found 2.5, wanted 'auto' or a whole number"),
        ("train:\n", "provetune.yaml:5: train: found nothing, wanted a mapping"),
        (
            "train: {lora: {layers: 2..3}}\n",
            "provetune.yaml:5: train.lora.layers: found '2..3', wanted all, or numbers of layers as in 0-3,7",
        ),
        ("train: {lora: {variants: [pissa, dora]}}\n", "provetune.yaml:5: train.lora: variants name pissa and dora"),
        ("train: {method: qlora, lora: {variants: pissa}}\n", "provetune.yaml:5: train: method is qlora and lora.variants name pissa"),
        ("train: {forgetting: kl, lora: {variants: pissa}}\n", "provetune.yaml:5: train: forgetting is kl and lora.variants name pissa"),
        ("train: {start: ../one, method: dpo}\n", "provetune.yaml:5: train: start is given, which does not go with dpo"),
        (
            "train: {new_tokens: PNR, lora: {variants: pissa}}\n",
            "provetune.yaml:5: train: new_tokens is given, which does not go with pissa",
        ),
        ("train: {new_tokens: PNR, start: ../one}\n", "provetune.yaml:5: train: start and new_tokens are given"),
        ("train: {new_tokens: [PNR, PNR]}\n", "provetune.yaml:5: train.new_tokens: found ['PNR', 'PNR'], wanted different words"),
        ("search: {space: {rank: [1, 2]}}\n", "provetune.yaml:5: search.space.rank: found a list of 2, wanted 'learning_rate', 'epochs'"),
        ("owner: 12\n", "provetune.yaml:5: owner: found 12, wanted text; put it in quotes"),
        ("budget: {max_hours: .inf}\n", "provetune.yaml:5: budget.max_hours: found inf, wanted a finite number"),
        ("prove:\n  margin: 1\n", "provetune.yaml:6: prove.margin: found 1, wanted a number below 1"),
        ("prove: {against: []}\n", "provetune.yaml:5: prove.against: found a list of 0, wanted at least one"),
        ("baselines:\n- few-shot\n- few-shto\n", "provetune.yaml:7: baselines[1]: found 'few-shto', wanted "),
        ("baselines: [{k: 3}]\n", "provetune.yaml:5: baselines[0].name: required key is missing"),
        ("data: b\n", "provetune.yaml:5: data: written twice, first on line 3; keep one"),
        ("metric: f1_macro\nprove: {metric: accuracy}\n", "provetune.yaml: metric is f1_macro but prove.metric is accuracy"),
        ("prove: {against: [linar]}\n", "provetune.yaml: prove.against names 'linar'"),
        ("train: {batch_size: yes}\n", "provetune.yaml:5: train.batch_size: found true or false"),
        ("owner: &a [*a]\n", "provetune.yaml:5: owner: found a list of 1, wanted text"),
        ("owner: [\n", "provetune.yaml:6: not valid YAML: "),
        ("train: {forgetting: kl, replay: a.jsonl}\n", "provetune.yaml:5: train: forgetting is kl and replay is given"),
        ("train: {forgetting: {scale: 0}}\n", "provetune.yaml:5: train.forgetting.scale: found 0, wanted"),
    ],
)
def test_mistakes_name_line_and_key(tmp_path: Path, addition: str, expected: str) -> None:
    lines = _refusal(tmp_path, BASE + addition)
    assert len(lines) == 1 and lines[0].startswith(expected), lines


def test_labels_that_yaml_reads_as_true_are_explained(tmp_path: Path) -> None:
    text = BASE.replace("task: classify", "task: {type: classify, labels: [maybe, yes]}")
    assert _refusal(tmp_path, text) == ["provetune.yaml:4: task.labels[1]: found true, wanted text; put it in quotes"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "provetune.yaml: the file is empty; 'provetune init FILE' writes a project file"),
        ("# nothing\n", "provetune.yaml: the file is empty; 'provetune init FILE' writes a project file"),
        ("- a\n", "provetune.yaml:1: found a list of 1, wanted a mapping such as 'version: 1'"),
        (BASE.replace("1", "2"), "provetune.yaml:1: version: found 2, wanted 1, which is all that this provetune reads"),
        (BASE.replace("task: classify\n", ""), "provetune.yaml:1: task: required key is missing"),
        (BASE.replace("classify", "clasify"), "did you mean 'classify'?"),
        (BASE.replace("task: classify", "task: chat\nmetric: f1_macro"), "metric f1_macro needs labels, task chat has none"),
        (BASE.replace("router", "2026-13-45"), "not valid YAML"),
    ],
)
def test_files_that_cannot_be_meant(tmp_path: Path, text: str, expected: str) -> None:
    lines = _refusal(tmp_path, text)
    assert len(lines) == 1 and expected in lines[0], lines


def test_a_missing_file_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="provetune init FILE"):
        load_spec(tmp_path / "provetune.yaml")
    (tmp_path / "provetune.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(SpecError, match="cannot be read as a text file"):
        load_spec(tmp_path / "provetune.yaml")


def test_overrides_reach_into_short_forms(tmp_path: Path) -> None:
    spec = _load(tmp_path, BASE, "data.test=held_out.jsonl", "train.learning_rate=2e-4", "baselines=[few-shot]", "base.revision='1e5'")
    assert (spec.data.path, spec.data.test, spec.base.revision) == ("rows.jsonl", "held_out.jsonl", "1e5")
    assert (spec.train.learning_rate, spec.baselines[0].name) == (0.0002, "few-shot")
    assert _load(tmp_path, BASE, "train.epochs=2", "train.epochs=3").train.epochs == 3


@pytest.mark.parametrize("override", ["train.epochs", "=3", "train..epochs=3", "name.first=x", "owner=[", "train.epoch=3"])
def test_overrides_that_cannot_be_meant(tmp_path: Path, override: str) -> None:
    assert _refusal(tmp_path, BASE, override)[0].startswith("override ")


def _typos(key: str, letters: str = "aekx_") -> set[str]:
    cuts = [(key[:i], key[i:]) for i in range(len(key) + 1)]
    changed = {a + c + b[1:] for a, b in cuts for c in letters if b} | {a + c + b for a, b in cuts for c in letters}
    return changed | {a + b[1:] for a, b in cuts if b} | {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}


def test_every_key_with_one_wrong_letter_is_refused_with_that_key(tmp_path: Path) -> None:
    sections = keys_by_section()
    assert sum(map(len, sections.values())) > 100
    for section, keys in sections.items():
        for key in keys:
            for typo in _typos(key) - set(keys) - {""}:
                found = closest(typo, keys)
                # "bask" is one letter from both "task" and "base": either may be named
                assert found == key or (found is not None and typo in _typos(found, typo)), (section, key, typo)


def _text_with(section: tuple[str, ...], key: str) -> str:
    """A file with `key: misspelt` in a section of its own."""
    inner: Any = {key: "misspelt"}
    for step in reversed(section):
        inner = {step: [inner] if step in ("baselines", "rules") else inner}
    return json.dumps({"version": 1, "name": "router", "data": "rows.jsonl", "task": "classify"} | inner)


def test_a_typo_of_any_key_is_reported_at_its_place(tmp_path: Path) -> None:
    for section, keys in keys_by_section().items():
        for key in keys:
            typo = key[: len(key) // 2] + "x" + key[len(key) // 2 :]
            lines = [line.replace("[0]", "") for line in _refusal(tmp_path, _text_with(section, typo))]
            assert f"provetune.yaml:1: {'.'.join((*section, typo))}: unknown key; did you mean {key!r}?" in lines


def test_schema_accepts_what_the_models_accept() -> None:
    schema = json_schema()
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema)
    accepted = [MINIMAL, FULL, BASE + "baselines: [zero-shot]\ntracking: none\ntrain: {seeds: 3}\nprove: {against: few-shot}\n"]
    for text in accepted:
        content = yaml.safe_load(text)
        ProjectSpec.model_validate(content)
        assert not list(validator.iter_errors(content))
    for text in (BASE + "trian: {}\n", BASE.replace("1", "2"), BASE.replace("classify", "sort"), BASE + "train: {epochs: many}\n"):
        assert list(validator.iter_errors(yaml.safe_load(text)))


_BY_TASK = [("classify", "accuracy"), ("extract", "exact_match"), ("generate", "rouge_l"), ("chat", "rouge_l")]


@pytest.mark.parametrize(("task", "metric"), _BY_TASK)
def test_metric_follows_the_task(tmp_path: Path, task: str, metric: str) -> None:
    text = BASE.replace("classify", task)
    assert resolve_metric(_load(tmp_path, text)) == metric
    assert resolve_metric(_load(tmp_path, text, "prove.metric=exact_match", "metric=auto")) == "exact_match"
    assert resolve_metric(_load(tmp_path, text, "metric=rouge_l", "prove.metric=rouge_l")) == "rouge_l"


_HARD = ["a b", "yes", "1", "x: y", "# no", "a,b}", "'", "~", "ä\n\u2028", "C:\\x", " lead", "-", "null"]


@pytest.mark.parametrize("value", _HARD)
def test_minimal_yaml_survives_any_name(tmp_path: Path, value: str) -> None:
    text = minimal_yaml(value, DataSpec(path=value, test=value, columns=ColumnsSpec(prompt=value)), task="classify", metric="auto")
    spec = _load(tmp_path, text)
    assert (spec.name, spec.data.path, spec.data.test, spec.data.columns.prompt) == (value, value, value, value)
    assert text.startswith("# yaml-language-server: $schema=") and text.count("\n") <= 15


def test_minimal_yaml_without_extras_has_the_short_form(tmp_path: Path) -> None:
    assert "data: rows.jsonl\n" in minimal_yaml("router", DataSpec(path="rows.jsonl"), task="chat", metric="rouge_l")


def test_closest_needs_a_near_word() -> None:
    assert closest("zzzz", ["epochs", "seeds"]) is None
    assert all(closest(word, []) is None for word in ("", "a"))
