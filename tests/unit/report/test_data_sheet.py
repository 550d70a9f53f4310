"""The data sheet in the report: what is recorded stands there, what is not is called unknown."""

from __future__ import annotations

from dataclasses import replace

from provetune.records.labels import Agreement, AnnotatorCount, ClassCount, PairAgreement
from provetune.records.provenance import Change, LeftOut, Provenance, Source, TrainingRows
from provetune.report.html import render_report
from provetune.report.inputs import ReportInputs
from provetune.stats.estimate import Estimate
from tests.unit.report.factory import inputs_of
from tests.unit.report.tree import rows_of, section_of, table_of, tree_of, words_of

SOURCE = Source(
    role="examples",
    path="tickets.csv",
    format="csv",
    files=1,
    bytes=123_456,
    sha256="5e" * 32,
    rows=1010,
    left_out=(LeftOut(reason="<b>no answer</b>", rows=10, first="tickets.csv:7", whole=True),),
    licence="CC BY 4.0",
)
CHANGES = (
    Change(step="read tickets.csv", rows_in=1010, rows_out=1000, removed={"<b>no answer</b>": 10}, altered={"without blanks": 3}),
    Change(step="split", rows_in=1000, rows_out=700, moved={"validation": 100, "test, sealed": 200}),
)
TRAINING = TrainingRows(
    name="lora-augmented",
    changes=(Change(step="rows for this training", rows_in=700, rows_out=750, added={"augmentation": 50}),),
    tokens=54_321,
    supervised_tokens=4_321,
)
SHEET = Provenance(
    project="ticket-router",
    dataset="d1",
    sources=(SOURCE,),
    changes=CHANGES,
    trainings=(TRAINING,),
    languages={"English": 900, "not told": 100},
    row_licences={"MIT": 4},
    made=12,
    collected="Help desk, May 2026.",
)


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, 50, 0.95, "bootstrap")


AGREEMENT = Agreement(
    dataset="d1",
    rows=1000,
    voted=100,
    shared=50,
    undecided=4,
    set_aside=0,
    annotators=(AnnotatorCount(annotator="ana", votes=80, skips=1), AnnotatorCount(annotator="<ben>", votes=70, skips=0)),
    scale="nominal",
    alpha=estimate(0.71),
    classes=(
        ClassCount(label="refund", prevalence=estimate(0.3), agreement=estimate(0.9)),
        ClassCount(label="billing", prevalence=estimate(0.3), agreement=estimate(0.4)),
    ),
    pairs=(PairAgreement(first="ana", second="<ben>", equal=estimate(0.8), kappa=estimate(0.72)),),
    level="not enough shared rows",
)


def sheet_of(inputs: ReportInputs) -> str:
    return words_of(section_of(tree_of(render_report(inputs)), "datasheet"))


def test_sources_changes_and_tokens_stand_in_the_sheet() -> None:
    root = tree_of(render_report(replace(inputs_of(rows=60), provenance=SHEET)))
    (source,) = rows_of(table_of(root, "Where the rows come from"))
    assert source == ["examples", "tickets.csv", "csv", "1", "123,456", "1,010", "1,000", "CC BY 4.0", "5e" * 32]
    read, split, training = rows_of(table_of(root, "What became of the rows, from the file to the training"))
    assert read == ["read tickets.csv", "1,010", "-", "<b>no answer</b>: 10", "-", "without blanks: 3", "1,000"]
    assert split[4] == "validation: 100; test, sealed: 200"
    assert "lora-augmented" in training[0] and training[2] == "augmentation: 50" and training[6] == "750"
    assert rows_of(table_of(root, "Tokens that the trainings read, over all epochs")) == [["lora-augmented", "750", "54,321", "4,321"]]


def test_what_is_known_is_answered() -> None:
    words = sheet_of(replace(inputs_of(rows=60), provenance=SHEET))
    for answer in ("Help desk, May 2026.", "CC BY 4.0. The rows themselves say: MIT 4", "English 900, not told 100", "12 of them say"):
        assert answer in words
    assert "near duplicates (warning, 212 rows)" in words and "Unknown:" not in words


def test_what_nobody_recorded_is_called_unknown() -> None:
    bare = SHEET.model_copy(
        update={"sources": (SOURCE.model_copy(update={"licence": "unknown"}),), "collected": "unknown", "row_licences": {}}
    )
    words = sheet_of(replace(inputs_of(rows=60), provenance=bare))
    assert "Unknown: the project file does not say it (data.licence)." in words
    assert "Unknown: the project file does not say it (data.collected)." in words
    assert "who gave them, and how, is not recorded" in words
    assert "not recorded" in sheet_of(inputs_of(rows=60))


def test_agreement_is_shown_with_intervals_and_the_labels_that_agree_least_first() -> None:
    inputs = inputs_of(rows=60)
    inputs = replace(inputs, audit=inputs.audit.model_copy(update={"agreement": AGREEMENT}))
    assert "2 annotators voted on 100 of 1,000 rows: Krippendorff's alpha 0.710 [0.610, 0.810], not enough shared rows" in sheet_of(inputs)
    rows = rows_of(table_of(tree_of(render_report(inputs)), "How far the annotators agree"))
    assert rows[0] == ["all", "Krippendorff's alpha (nominal)", "0.710 [0.610, 0.810], n=50"]
    assert rows[1] == ["ana and <ben>", "share of equal votes (n=50), Cohen's kappa", "0.800 [0.700, 0.900], 0.720 [0.620, 0.820]"]
    assert [row[0] for row in rows[2:]] == ["billing", "refund"]


def test_an_audit_without_agreement_reads_as_it_was_written() -> None:
    audit = inputs_of().audit
    assert "agreement" not in audit.to_json()
    told = audit.model_copy(update={"agreement": AGREEMENT})
    assert type(audit).from_json(told.to_json()) == told and told.fingerprint != audit.fingerprint
