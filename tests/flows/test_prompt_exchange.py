"""Prompts go from and to promptfoo and DSPy on the command line; nothing is lost in silence, nothing is overwritten unasked."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from provetune.formats.dspy import read_dspy
from provetune.formats.promptfoo import read_promptfoo
from provetune.records.prompt_search import PromptSet
from tests.flows.conftest import Trained, call
from tests.unit.prompting.trials import Truth, request_of

CONFIG = {
    "prompts": [{"label": "plain words", "raw": "Which queue? {{message}}"}, "{{message}} in {{language}}"],
    "providers": ["openai:some-model"],
}


def test_prompts_of_promptfoo_go_to_dspy(tmp_path: Path) -> None:
    file = tmp_path / "promptfooconfig.yaml"
    file.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    done = call("--format", "json", "-C", tmp_path, "import", "promptfoo", file, "--name", "mine")
    assert done.code == 0, done.err
    found = PromptSet.from_json((tmp_path / "prompts" / "mine.json").read_text(encoding="utf-8"))
    assert PromptSet.from_json(done.out) == found and [one.name for one in found.prompts] == ["plain words"]
    assert any("language, message" in line for line in found.left_out) and "providers: has no counterpart" in found.left_out

    again = call("-C", tmp_path, "import", "promptfoo", file, "--name", "mine")
    assert again.code == 2 and "is there already" in again.err
    assert call("-C", tmp_path, "import", "promptfoo", file, "--name", "mine", "--force").code == 0

    out = tmp_path / "program.json"
    done = call("export", tmp_path / "prompts" / "mine.json", "--to", "dspy", "--out", out)
    assert done.code == 0 and "not written: the wording of requests" in done.out
    assert read_dspy(out).prompts[0].prompt == found.prompts[0].prompt
    taken = call("-C", tmp_path, "import", "dspy", out)
    assert taken.code == 0 and "Wrote" in taken.out and (tmp_path / "prompts" / "program.json").is_file()


def test_the_prompts_of_a_run_go_to_promptfoo(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "promptfooconfig.yaml"
    done = call("--format", "json", "export", trained.folder / "runs" / "latest" / "evidence.json", "--to", "promptfoo", "--out", out)
    assert done.code == 0, done.err
    names = [one.name for one in read_promptfoo(out).prompts]
    assert names == json.loads(done.out)["prompts"] and {"zero-shot", "few-shot"} <= set(names) and "linear" not in names


def test_the_winner_of_a_search_is_what_is_written(tmp_path: Path) -> None:
    from provetune.prompting.search import search_prompts

    record = tmp_path / "search.json"
    search = search_prompts(request_of(["one", "two words"], Truth({"two words": 0.95}, usual=0.3)))
    record.write_text(search.to_json(), encoding="utf-8")
    out = tmp_path / "p.yaml"
    assert call("export", record, "--to", "promptfoo", "--out", out).code == 0
    assert [one.prompt.system for one in read_promptfoo(out).prompts] == ["two words"]
    missing = call("export", record, "--to", "promptfoo", "--out", tmp_path / "q.yaml", "--prompt", "other")
    assert missing.code == 2 and "found the prompts searched, wanted 'other'" in missing.err


def test_a_file_without_prompts_is_refused(tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text('[{"prompt": "a"}]', encoding="utf-8")
    done = call("export", rows, "--to", "dspy", "--out", tmp_path / "p.json")
    assert done.code == 2 and "found no record with prompts, wanted a run's evidence.json" in done.err
