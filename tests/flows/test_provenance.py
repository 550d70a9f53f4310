"""A whole run: what its report and evidence say of where the rows came from adds up with its other records."""

from __future__ import annotations

import hashlib

from provetune.records.candidate import TrainingRun
from provetune.records.data import Split
from provetune.records.evaluation import Evidence
from provetune.records.provenance import UNEXPLAINED, Provenance
from tests.flows.conftest import Trained


def test_the_rows_of_a_run_are_accounted_for(trained_once: Trained) -> None:
    run = trained_once.folder / "runs" / "latest"
    (file,) = (run / "records").glob("provenance-*.json")
    found = Provenance.from_json(file.read_text(encoding="utf-8"))
    evidence = Evidence.from_json((run / "evidence.json").read_text(encoding="utf-8"))
    assert evidence.records["provenance"] == found.fingerprint
    (source,) = found.sources
    data = (trained_once.folder / "tickets.csv").read_bytes()
    assert (source.path, source.bytes, source.sha256) == ("tickets.csv", len(data), hashlib.sha256(data).hexdigest())
    (split,) = (Split.from_json(f.read_text(encoding="utf-8")) for f in (run / "records").glob("split-*.json"))
    (training,) = (TrainingRun.from_json(f.read_text(encoding="utf-8")) for f in (run / "records").glob("tuning-*.json"))
    assert source.examples == sum(map(len, (split.train_ids, split.validation_ids, split.test_ids, split.left_out)))
    assert [(t.rows, t.tokens, t.supervised_tokens) for t in found.trainings] == [
        (training.rows_used, training.tokens_seen, training.labelled_tokens_seen)
    ]
    assert UNEXPLAINED not in file.read_text(encoding="utf-8")
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Data sheet" in page and source.sha256 in page
