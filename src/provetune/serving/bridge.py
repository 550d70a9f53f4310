"""Files and fine-tuning jobs over `provetune run`: kept in a folder, told in OpenAI's form, unharmed by a restart."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from provetune.errors import EvidenceError, FolderError
from provetune.hashing import file_sha256
from provetune.jobs import INTERRUPTED, Jobs, JobState
from provetune.records.candidate import TrainingRun
from provetune.records.evaluation import Evidence
from provetune.serving.bridge_requests import JobAsked
from provetune.serving.problems import Problem
from provetune.store import lines_of, write_atomic

BRIDGE_FOLDER = Path(".provetune/bridge")
_FILE, _JOB = re.compile(r"file-[0-9a-f]{24}"), re.compile(r"ftjob-[0-9a-f]{24}")
_ENDINGS = (".jsonl", ".json", ".csv", ".parquet", ".xlsx")
_DECIDED = {0, 3, 4}
"""Exit codes of a run that reached a decision: ship, hold, inconclusive."""
_WHILE_VALIDATING = {"audit", "plan", "split"}


@dataclass(frozen=True)
class Bridge:
    """All files and jobs below `folder`; `bases` are folders of base models by the name that clients use."""

    folder: Path
    bases: Mapping[str, str]

    @property
    def jobs(self) -> Jobs:
        """The processes."""
        return Jobs(self.folder / "jobs")

    # -- files

    def keep_file(self, name: str, purpose: str, source: Path) -> dict[str, Any]:
        """Take a file over from where it was received."""
        ending = Path(name).suffix.lower()
        identity = f"file-{secrets.token_hex(12)}"
        place = self.folder / "files" / identity
        place.mkdir(parents=True)
        content = place / f"content{ending if ending in _ENDINGS else '.jsonl'}"
        source.replace(content)
        shown = "".join(letter for letter in name if letter.isprintable())[:200] or "file"
        told = {
            "id": identity,
            "object": "file",
            "bytes": content.stat().st_size,
            "created_at": int(time.time()),
            "filename": shown,
            "purpose": purpose,
            "status": "processed",
            "sha256": file_sha256(content),
        }
        write_atomic(place / "file.json", json.dumps(told))
        return told

    def file(self, identity: str) -> dict[str, Any]:
        """What is known of a file; Problem 404."""
        return _told(self._file(identity) / "file.json", f"No such file: {identity[:80]}")

    def files(self) -> list[dict[str, Any]]:
        """All files, the newest first."""
        found = [json.loads(path.read_text(encoding="utf-8")) for path in (self.folder / "files").glob("file-*/file.json")]
        return sorted(found, key=lambda one: (-one["created_at"], one["id"]))

    def content(self, identity: str) -> Path:
        """Where a file's content lies; Problem 404."""
        found = list(self._file(identity).glob("content.*"))
        if not found:
            raise Problem(404, f"No such file: {identity[:80]}", "id", "file_not_found")
        return found[0]

    def delete_file(self, identity: str) -> None:
        """Delete a file; jobs that read it have copies of their rows. Problem 404."""
        self.content(identity).unlink()
        (self._file(identity) / "file.json").unlink(missing_ok=True)
        self._file(identity).rmdir()

    def _file(self, identity: str) -> Path:
        if _FILE.fullmatch(identity) is None:
            raise Problem(404, f"No such file: {identity[:80]}", "id", "file_not_found")
        return self.folder / "files" / identity

    # -- jobs

    def create(self, asked: JobAsked) -> dict[str, Any]:
        """Start a job. Problem 400 or 404 for what cannot be started."""
        identity = f"ftjob-{secrets.token_hex(12)}"
        base = self.bases.get(asked.base, asked.base)
        project = self.folder / "projects" / identity
        project.mkdir(parents=True)
        files = {"train": asked.training_file, "test": asked.validation_file}
        init = ["init", "", "--base", base, "--name", asked.suffix or "job"]
        for part, name in files.items():
            if name is not None:
                source = self.content(name)
                copied = project / f"{part}{source.suffix}"
                copied.write_bytes(source.read_bytes())
                init = [*init, "--test", str(copied)] if part == "test" else ["init", str(copied), *init[2:]]
        write_atomic(project / "asked.json", json.dumps({**asked.model_dump(mode="json"), "created_at": int(time.time())}))
        try:
            self.jobs.start(project, [init, ["run", *asked.overrides()]], identity)
        except FolderError as error:
            raise Problem(503, str(error)) from None
        return self.job(identity)

    def job(self, identity: str) -> dict[str, Any]:
        """A job as it stands; Problem 404."""
        project, asked = self._project(identity)
        state, evidence = self.jobs.state(identity), self.evidence(identity)
        status, error = _status(state, evidence, project), None
        if status == "failed":
            error = self._error(identity, state)
        trainings = self._trainings(identity) if evidence is not None else []
        done = status == "succeeded" and evidence is not None
        told = {
            "id": identity,
            "object": "fine_tuning.job",
            "created_at": asked["created_at"],
            "finished_at": None if state.ended_at is None else int(state.ended_at),
            "status": status,
            "error": error,
            "model": asked["model"],
            "fine_tuned_model": self.model_name(identity, asked) if done else None,
            "organization_id": "provetune",
            "training_file": asked["training_file"],
            "validation_file": asked["validation_file"],
            "result_files": [],
            "seed": asked["seed"] or 1,
            "trained_tokens": sum(run.labelled_tokens_seen for run in trainings) if done else None,
            "estimated_finish": None,
            "integrations": [],
            "metadata": asked["metadata"],
            "hyperparameters": JobAsked.model_validate(_without(asked, "created_at")).settings.model_dump(exclude={"beta"}),
            "method": asked["method"] or {"type": "supervised"},
        }
        if evidence is not None:
            decision = evidence.decision
            told["evidence"] = {
                "outcome": decision.outcome,
                "sentence": decision.sentence,
                "next_step": decision.next_step,
                "report": str(self.run(identity) / "report.html"),
            }
        return told

    def all_jobs(self) -> list[dict[str, Any]]:
        """All jobs, the newest first."""
        return [self.job(identity) for identity in reversed(self.jobs.ids) if (self.folder / "projects" / identity).is_dir()]

    def cancel(self, identity: str) -> dict[str, Any]:
        """Stop a job; Problem 404."""
        self._project(identity)
        self.jobs.cancel(identity)
        return self.job(identity)

    def events(self, identity: str) -> list[dict[str, Any]]:
        """What happened in a job, the newest first."""
        _, asked = self._project(identity)
        found: list[tuple[float, str, str, str, dict[str, Any]]] = [(asked["created_at"], "info", "message", "Created fine-tuning job", {})]
        for line in lines_of(file) if (file := self.run(identity) / "events.jsonl").is_file() else []:
            event = json.loads(line)
            kind, at = event.pop("event"), event.pop("at")
            words = " ".join([kind.replace("_", " "), str(event.get("step", ""))]).strip()
            found.append((_seconds(at), "info", "metrics" if "loss" in event else "message", words, event))
        state = self.job(identity)
        if state["error"] is not None:
            found.append((state["finished_at"] or asked["created_at"], "error", "message", state["error"]["message"], {}))
        elif "evidence" in state:
            found.append((state["finished_at"] or asked["created_at"], "info", "message", state["evidence"]["sentence"], {}))
        told = [
            {"object": "fine_tuning.job.event", "id": f"ftevent-{identity[6:]}-{place:05d}", "created_at": int(at)}
            | {"level": level, "message": words, "type": kind, "data": data}
            for place, (at, level, kind, words, data) in enumerate(found)
        ]
        return told[::-1]

    def checkpoints(self, identity: str) -> list[dict[str, Any]]:
        """Each look at the validation rows, the latest first; only the weights that were kept at the end can be asked."""
        _, asked = self._project(identity)
        state = self.job(identity)
        found = []
        for run in self._trainings(identity):
            losses = {point.step: point.loss for point in run.losses}
            for point in run.validation:
                metrics = {
                    "step": point.step,
                    "train_loss": losses.get(point.step),
                    "full_valid_loss": point.loss,
                    "valid_loss": point.loss,
                }
                found.append(
                    {
                        "object": "fine_tuning.job.checkpoint",
                        "id": f"ftckpt-{identity[6:]}-{run.method}-{point.step}",
                        "created_at": state["finished_at"] or asked["created_at"],
                        "fine_tuned_model_checkpoint": state["fine_tuned_model"] or "",
                        "fine_tuning_job_id": identity,
                        "metrics": {name: value for name, value in metrics.items() if value is not None},
                        "step_number": point.step,
                    }
                )
        return found[::-1]

    def model_name(self, identity: str, asked: Mapping[str, Any]) -> str:
        """What clients call the model that a job tuned."""
        return f"ft:{asked['model']}:{asked['suffix'] or ''}::{identity[6:]}"

    def run_of_model(self, name: str) -> tuple[Path, Path] | None:
        """(project, run) of the job that tuned a model of this name; None where there is none."""
        parts = name.split(":")
        identity = f"ftjob-{parts[-1]}"
        if len(parts) != 5 or parts[0] != "ft" or _JOB.fullmatch(identity) is None or self.evidence(identity) is None:
            return None
        project, asked = self._project(identity)
        return (project, self.run(identity)) if self.model_name(identity, asked) == name else None

    def run(self, identity: str) -> Path:
        """The run folder of a job."""
        return self.folder / "projects" / identity / "runs" / "latest"

    def evidence(self, identity: str) -> Evidence | None:
        """What the run found; None before its end."""
        try:
            return Evidence.from_json((self.run(identity) / "evidence.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, EvidenceError):
            return None

    def _trainings(self, identity: str) -> list[TrainingRun]:
        files = sorted((self.run(identity) / "records").glob("tuning-*.json"))
        return [TrainingRun.from_json(file.read_text(encoding="utf-8")) for file in files]

    def _project(self, identity: str) -> tuple[Path, dict[str, Any]]:
        words = f"No such fine-tuning job: {identity[:80]}"
        if _JOB.fullmatch(identity) is None:
            raise Problem(404, words, "fine_tuning_job_id", "job_not_found")
        project = self.folder / "projects" / identity
        return project, _told(project / "asked.json", words)

    def _error(self, identity: str, state: JobState) -> dict[str, Any]:
        told = self.jobs.documents(identity)
        last = told[-1] if told else {}
        if state.status == "lost":
            return {"code": "lost", "message": "the process of this job is gone; start it again", "param": None}
        message = last.get("message") or f"the run ended with exit code {state.code}; its log.txt says why"
        return {"code": f"exit_{state.code}", "message": message, "param": "training_file" if state.code == 5 else None}


def _status(state: JobState, evidence: Evidence | None, project: Path) -> str:
    if state.status == "ended":
        if state.code in _DECIDED and evidence is not None:
            return "succeeded"
        return "cancelled" if state.code == INTERRUPTED or state.cancelled else "failed"
    if state.status == "lost":
        return "cancelled" if state.cancelled else "failed"
    if state.status == "queued":
        return "queued"
    events = project / "runs" / "latest" / "events.jsonl"
    steps = {json.loads(line).get("step") for line in lines_of(events)} if events.is_file() else set()
    return "running" if steps - _WHILE_VALIDATING - {None} else "validating_files"


def _told(file: Path, words: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Problem(404, words, None, "not_found") from None
    return found


def _without(asked: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in asked.items() if key != name}


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
