"""Code written for the hosted service: files, a whole fine-tuning job, and its model, through the official client."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from provetune.jobs import Jobs
from provetune.serving.bridge import Bridge
from provetune.serving.job_models import JobModels
from tests.flows.conftest import ticket_rows
from tests.gateways import Running, gateway_over, running, served_from

DEADLINE_S = 400
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


@pytest.fixture
def gateway(base_folder: Path, tmp_path: Path) -> Iterator[Running]:
    bridge = Bridge(tmp_path / "bridge", {"tiny": str(base_folder)})
    made = gateway_over(served_from(base_folder, "v1"))
    made.find_model = JobModels(bridge).find
    with running(made, bridge) as found:
        yield found


@pytest.fixture
def client(gateway: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as found:
        yield found


def training_file(count: int = 90) -> bytes:
    rows = [[{"role": "user", "content": text}, {"role": "assistant", "content": label}] for text, label in ticket_rows(count)]
    return "".join(json.dumps({"messages": messages}) + "\n" for messages in rows).encode()


def test_files(client: openai.OpenAI, gateway: Running) -> None:
    content = training_file(9)
    made = client.files.create(file=("../../rows.jsonl", content), purpose="fine-tune")
    assert made.bytes == len(content) and made.status == "processed"
    assert client.files.retrieve(made.id) == made and [one.id for one in client.files.list()] == [made.id]
    assert client.files.content(made.id).read() == content
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)
    for name in ("file-000000000000000000000000", "..%2f..%2fkeys.json", "x"):
        with gateway.http() as http:
            assert http.get(f"/v1/files/{name}").status_code == 404
    with pytest.raises(openai.BadRequestError):
        client.files.create(file=("x.jsonl", content), purpose="assistants")
    with pytest.raises(openai.BadRequestError, match="model"):
        client.fine_tuning.jobs.create(model="../../etc", training_file=made.id)
    with pytest.raises(openai.NotFoundError, match="No such file"):
        client.fine_tuning.jobs.create(model="tiny", training_file=made.id)
    with pytest.raises(openai.NotFoundError, match="No such fine-tuning job"):
        client.fine_tuning.jobs.retrieve("ftjob-000000000000000000000000")


@pytest.mark.slow
def test_a_whole_job(client: openai.OpenAI) -> None:
    file = client.files.create(file=("rows.jsonl", training_file()), purpose="fine-tune")
    hyper: Any = {"n_epochs": 1, "batch_size": 16}
    method: Any = {"type": "supervised", "supervised": {"hyperparameters": hyper}}
    job = client.fine_tuning.jobs.create(model="tiny", training_file=file.id, suffix="tickets", seed=3, method=method, metadata={"a": "b"})
    assert job.status in ("validating_files", "queued", "running") and job.fine_tuned_model is None
    seen: set[str] = {job.status}
    deadline = time.monotonic() + DEADLINE_S
    while job.status in ("validating_files", "queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
        job = client.fine_tuning.jobs.retrieve(job.id)
        seen.add(job.status)
    assert job.status == "succeeded", job.error
    assert job.finished_at is not None and (job.trained_tokens or 0) > 0 and job.seed == 3 and job.metadata == {"a": "b"}
    told: Any = job.model_extra
    assert told["evidence"]["outcome"] in ("ship", "hold", "inconclusive") and told["evidence"]["sentence"]
    assert [one.id for one in client.fine_tuning.jobs.list()] == [job.id]
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=5))
    assert events[0].message == told["evidence"]["sentence"] and events[-1].message == "Created fine-tuning job" and len(events) > 8
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    assert checkpoints and checkpoints[0].metrics.full_valid_loss is not None and checkpoints[0].fine_tuning_job_id == job.id
    assert job.fine_tuned_model is not None and job.fine_tuned_model.startswith("ft:tiny:tickets::")
    found = client.chat.completions.create(model=job.fine_tuned_model, messages=[{"role": "user", "content": "refund my order"}])
    assert found.choices[0].message.content in ("billing", "delivery", "access") and found.model == job.fine_tuned_model
    assert client.models.retrieve(job.fine_tuned_model).id == job.fine_tuned_model


@pytest.mark.slow
def test_jobs_that_fail_or_are_cancelled_say_so(client: openai.OpenAI, gateway: Running, tmp_path: Path) -> None:
    broken = client.files.create(file=("rows.jsonl", b'{"messages": "none"}\n'), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model="tiny", training_file=broken.id)
    other = client.files.create(file=("rows.jsonl", training_file()), purpose="fine-tune")
    second = client.fine_tuning.jobs.create(model="tiny", training_file=other.id)
    assert client.fine_tuning.jobs.cancel(second.id).status in ("cancelled", "queued", "validating_files", "running")
    deadline = time.monotonic() + DEADLINE_S
    while "succeeded" not in (states := {client.fine_tuning.jobs.retrieve(one.id).status for one in (job, second)}):
        if states == {"failed", "cancelled"}:
            break
        assert time.monotonic() < deadline
        time.sleep(0.5)
    failed = client.fine_tuning.jobs.retrieve(job.id)
    assert failed.error is not None and failed.error.code == "exit_2" and "messages" in (failed.error.message or "")
    assert Jobs(tmp_path / "bridge" / "jobs").state(second.id).cancelled  # another process sees the same
