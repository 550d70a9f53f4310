"""What can be seen of a training while it runs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from provetune.errors import SpecError
from provetune.tuning import TuneRequest, live, tune
from provetune.tuning.live import Live, open_trackers
from provetune.tuning.state import LoopState, ValidationPoint
from tests.unit.tuning.test_methods import settings_of_the_process  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


class Notebook(GeneralTracker):  # type: ignore[misc]
    """A tracker that keeps what it is told."""

    name = "notebook"
    requires_logging_directory = True
    kept: ClassVar[list[Any]] = []

    def __init__(self, run_name: str, logging_dir: str) -> None:
        super().__init__()
        self.kept.append(("opened", run_name, Path(logging_dir).name))

    @property
    def tracker(self) -> None:
        return None

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.kept.append(("settings", values))

    def log(self, values: dict[str, float], step: int | None = None, **more: Any) -> None:
        self.kept.append((step, values))

    def finish(self) -> None:
        self.kept.append("finished")


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "notebook", Notebook)
    monkeypatch.setattr(live, "find_spec", lambda name: "there" if name == "notebook" else None)
    Notebook.kept.clear()
    return Notebook.kept


def test_a_training_tells_progress_events_and_trackers(tune_request: TuneRequest, notebook: list[Any]) -> None:
    lines: list[str] = []
    events: list[tuple[str, dict[str, Any]]] = []
    request = replace(
        tune_request,
        progress=lambda what, done, total: lines.append(what),
        event=lambda kind, **values: events.append((kind, values)),
        usd_per_hour=3600.0,
        trackers=["notebook"],
    )
    run = tune(request)
    pattern = r"lora: optimizer steps \| loss \d+\.\d{3}, [\d,]+ tokens/s, \d+\.\d GiB, \d+\.\d\d \$"
    assert len(lines) == 3 and all(re.fullmatch(pattern, line) for line in lines)
    assert [kind for kind, _ in events] == ["validated", "training"]
    assert events[0][1]["score"] == run.validation[0].score and events[0][1]["step"] == 3
    last = events[1][1]
    assert (last["step"], last["steps"], last["loss"]) == (3, 3, run.losses[-1].loss) and last["usd"] >= run.duration_s
    assert notebook[0] == ("opened", "tuned-lora", "trackers") and notebook[-1] == "finished"
    assert notebook[1][1]["learning_rate"] == 0.005 and [entry[0] for entry in notebook[2:-1]] == [1, 2, 3, 3]


def test_an_unknown_price_is_left_out_and_not_zero() -> None:
    lines: list[str] = []
    events: list[dict[str, Any]] = []
    shown = Live("x", lambda what, *_: lines.append(what), lambda kind, **values: events.append(values), None)
    shown.step(LoopState(step=1, tokens=10, seconds=1.0, losses=[(1, 2.0, 0.1)]), 1)
    assert "$" not in lines[0] and events[0]["usd"] is None


def test_a_tracker_that_is_not_installed_is_named(notebook: list[Any], tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"tracking: tensorboard is not installed; run `pip install tensorboard`"):
        open_trackers(["tensorboard"], tmp_path, "run", {})


def test_a_look_is_told_at_once() -> None:
    events: list[Any] = []
    Live("x", lambda *_: None, lambda kind, **values: events.append((kind, values)), None).look(ValidationPoint(4, 1.5, 0.5))
    assert events == [("validated", {"what": "x", "step": 4, "loss": 1.5, "score": 0.5})]
