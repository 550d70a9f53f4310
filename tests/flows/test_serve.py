"""`provetune serve` as a user runs it: a trained run answers as it was evaluated, what was changed is refused, a signal ends it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from provetune.records.evaluation import Evidence, Prediction
from provetune.store import lines_of
from provetune.traffic import TRAFFIC_FILE, TrafficReader
from tests.flows.conftest import Trained, call, ticket_rows


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command as a process of its own, and its address."""
    words = [sys.executable, "-m", "provetune", "-C", str(folder), "serve", "--port", "0", *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None
            found = next((match for line in child.stderr if (match := re.search(r"http://\S+/v1", line))), None)
            assert found is not None, "it ended before it served"
            yield child, found[0]
        finally:
            if child.poll() is None:
                child.kill()


@pytest.mark.slow
def test_a_trained_run_answers_as_it_was_evaluated(trained: Trained) -> None:
    folder = trained.folder
    evidence = Evidence.from_json((folder / "runs" / "latest" / "evidence.json").read_text())
    champion = next(one for one in evidence.evaluations if one.candidate.name == evidence.champion)
    wanted = {p.example_id: p.text for p in map(Prediction.model_validate_json, lines_of(folder / champion.predictions_file))}
    texts = {f"t{k}": text for k, (text, _) in enumerate(ticket_rows(120))}
    key = call("-C", folder, "keys", "create", "anna", "--format", "quiet").out.strip()
    with serving(folder) as (child, url):
        with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as client:
            asked = [name for name in wanted if name in texts][:50]
            assert len(asked) >= 20
            for name in asked:
                turns = [{"role": "user", "content": texts[name]}]
                found = client.chat.completions.create(model="tickets", messages=turns)  # type: ignore[arg-type]
                assert found.choices[0].message.content == wanted[name]
        with openai.OpenAI(base_url=url, api_key="pt-wrong", max_retries=0) as client, pytest.raises(openai.AuthenticationError):
            client.models.list()
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=30)
        assert child.returncode == 0 and f"Answered {len(asked)} requests." in out
    lines = list(TrafficReader(folder / TRAFFIC_FILE).records())
    assert len(lines) == len(asked) and {line.candidate for line in lines} == {champion.candidate.fingerprint}


@pytest.mark.slow
def test_what_is_not_what_was_measured_is_refused(trained: Trained) -> None:
    adapter = trained.folder / "runs" / "latest" / "adapter" / "adapter_model.safetensors"
    content = bytearray(adapter.read_bytes())
    content[-1] ^= 1
    adapter.write_bytes(content)
    done = call("-C", trained.folder, "serve", "--format", "json")
    assert done.code == 2 and "not the weights that were measured" in json.loads(done.out)["message"]
    assert call("-C", trained.folder, "serve", "--host", "0.0.0.0").code == 2
    assert "keys create" in call("-C", trained.folder, "serve", "--host", "0.0.0.0").err
