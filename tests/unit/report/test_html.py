from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from provetune.records.evaluation import Evidence
from provetune.report import html as report_html
from provetune.report.html import SIZE_LIMIT, ReportInputs, render_report
from tests.unit.report.factory import CHAMPION, inputs_of
from tests.unit.report.factory_parts import TEST_SHA
from tests.unit.report.tree import attributes, rows_of, section_of, table_of, tree_of, words_of

SECTIONS = (
    "decision",
    "comparison",
    "rules",
    "roi",
    "fixed",
    "data",
    "claims",
    "datasheet",
    "baselines",
    "training",
    "retention",
    "fairness",
    "robustness",
    "errors",
    "human",
    "limits",
    "reproduce",
)
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x00\x07\x1b[31m\u202eevil\u2066 שלום & \"'</pre></table>"


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(inputs_of(rows=200))


@pytest.fixture(scope="module")
def big_page() -> str:
    return render_report(inputs_of(rows=3080, label_count=77))


def test_every_section_stands_once_with_a_heading_and_a_link(page: str) -> None:
    root = tree_of(page)
    assert root.get("lang") == "en"
    assert tuple(section.get("id") for section in root.iter("section")) == SECTIONS
    assert [link.get("href") for link in root.findall(".//nav//a")] == [f"#{name}" for name in SECTIONS]
    assert all(section.find("./h2") is not None for section in root.iter("section"))
    assert [link.get("href") for link in root.findall("./body/a[@class='skip']")] == ["#decision"]


@pytest.mark.parametrize("text", ["", HOSTILE, HOSTILE * 100, "\u05e9\u05dc\u05d5\u05dd " * 2000])
def test_the_page_is_balanced_and_has_no_script_whatever_the_text(text: str) -> None:
    page = render_report(inputs_of(rows=60, text=text))
    root = tree_of(page)
    assert not {"script", "img", "iframe", "object", "link"} & {node.tag for node in root.iter()}
    assert [key for node in root.iter() for key in node.attrib if key.startswith("on")] == []
    assert len(page.encode()) < SIZE_LIMIT
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page) is None


def test_a_script_in_the_data_is_shown_as_text() -> None:
    page = render_report(inputs_of(text="<script>alert(1)</script>"))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_nothing_is_fetched(page: str) -> None:
    root = tree_of(page)
    assert "http://" not in page and "https://" not in page
    assert list(attributes(root, "src", "srcset", "action", "data", "poster")) == []
    assert all(href.startswith("#") for href in attributes(root, "href"))
    assert "@import" not in page and "url(" not in page


def test_3080_rows_and_77_labels_stay_below_the_limit_and_name_the_hash_of_the_evidence(big_page: str) -> None:
    evidence = inputs_of(rows=3080, label_count=77).evidence
    assert len(big_page.encode()) < 300_000
    root = tree_of(big_page)
    assert "evidence-json" not in attributes(root, "id")
    reproduce = words_of(section_of(root, "reproduce"))
    assert "evidence.json" in reproduce and hashlib.sha256(evidence.to_json().encode()).hexdigest() in reproduce
    assert all(label in big_page for label in evidence.labels)


def test_small_evidence_is_embedded_whole(page: str) -> None:
    (embedded,) = tree_of(page).findall(".//pre[@id='evidence-json']")
    assert Evidence.from_json("".join(embedded.itertext())) == inputs_of(rows=200).evidence


def test_texts_too_long_for_the_page_are_shown_shorter() -> None:
    page = render_report(inputs_of(rows=60, text='"' * 10_000))
    assert len(page.encode()) < SIZE_LIMIT
    assert "of 10,000 characters)" in page


def test_every_figure_has_a_sentence_and_a_table_of_the_same_numbers(page: str) -> None:
    root = tree_of(page)
    figures = list(root.iter("figure"))
    assert len(figures) == len(list(root.iter("svg"))) == 4
    for figure in figures:
        chart, sentence, twin = figure
        assert (chart.tag, sentence.tag, twin.tag) == ("svg", "figcaption", "details")
        name = twin.get("data-for")
        assert [(node.tag, node.get("id")) for node in chart[:2]] == [("title", f"{name}-title"), ("desc", f"{name}-desc")]
        assert chart.get("aria-labelledby") == f"{name}-title {name}-desc"
        assert words_of(sentence).endswith(".")
        drawn = {words_of(text) for text in chart.iter("text") if "[" in words_of(text)}
        assert drawn <= {words_of(cell) for cell in twin.iter("td")}


def test_tables_have_captions_scopes_and_a_box_of_their_own(page: str) -> None:
    root = tree_of(page)
    boxes = [node for node in root.iter("div") if node.get("class", "").startswith("scroll")]
    assert len(boxes) == len(list(root.iter("table"))) >= 20
    for box in boxes:
        (table,) = box
        assert table.tag == "table" and table[0].tag == "caption" and words_of(table[0]) == box.get("aria-label")
        assert box.get("role") == "region" and box.get("tabindex") == "0"
        assert all(cell.get("scope") in ("col", "row") for cell in table.iter("th"))
        wide = {sum(int(cell.get("colspan", "1")) for cell in row) for row in table.iter("tr")}
        assert len(wide) == 1, words_of(table[0])
    names = list(attributes(root, "aria-label"))
    assert len(names) == len(set(names))
    ids = list(attributes(root, "id"))
    assert len(ids) == len(set(ids))


def test_the_numbers_of_the_records_stand_in_the_page(page: str) -> None:
    root = tree_of(page)
    decision = words_of(section_of(root, "decision"))
    for part in ("SHIP", "0.873 [0.861, 0.884]", "+0.269 [+0.250, +0.288]", "n = 200", "2026-11-22 10:15 UTC", "97.5%"):
        assert part in decision
    (row,) = (row for row in rows_of(table_of(root, "All candidates on the test examples, accuracy")) if row[0].startswith("few-shot"))
    assert row[1:] == ["0.604 [0.587, 0.621]", "200", "+0.269 [+0.250, +0.288]", "0.994 [0.990, 0.996], n=200", "0 of 200", "412.7"]


@pytest.mark.parametrize(
    ("outcome", "word", "verdict"),
    [("ship", "SHIP", "pass"), ("hold", "HOLD", "fail"), ("inconclusive", "NOT ENOUGH EVIDENCE", "not enough evidence")],
)
def test_the_outcome_is_said_in_words(outcome: str, word: str, verdict: str) -> None:
    root = tree_of(render_report(inputs_of(outcome=outcome)))
    assert [words_of(node) for node in root.findall(".//p[@class='word']")] == [word]
    rows = rows_of(table_of(root, "Rules and what they say"))
    assert [row[2] for row in rows] == [verdict] * 3
    assert [row[5] for row in rows] == ["640" if outcome == "inconclusive" else "none"] * 3


def test_the_ledger_shows_every_opening_with_its_share_of_error() -> None:
    rows = rows_of(table_of(tree_of(render_report(inputs_of(openings=3))), "Ledger of test openings"))
    assert [row[0] for row in rows] == ["1", "2 (this report)", "3"]
    assert [row[3] for row in rows] == ["0.05 / 1 = 0.05", "0.05 / 2 = 0.025", "0.05 / 3 = 0.0167"]
    assert [row[8] for row in rows] == [TEST_SHA] * 3


def test_the_chosen_training_is_marked_and_the_other_is_shown(page: str) -> None:
    rows = rows_of(table_of(tree_of(page), "Every training that was tried"))
    assert [row[:2] for row in rows] == [["1. LoRA adapter", "yes"], ["2. full fine-tuning", "no"]]
    assert "rule: LoRA default" in page and "both fit, so both are tried" in page


def test_a_run_without_prompts_training_or_champion_still_renders() -> None:
    whole = inputs_of()
    bare = whole.evidence.model_copy(update={"evaluations": (), "comparisons": (), "openings": (), "labels": (), "rules": ()})
    audit = whole.audit.model_copy(update={"tokens": None, "findings": (), "label_counts": {}})
    page = render_report(ReportInputs(bare, audit, whole.split, whole.plan, (), {}, {}))
    assert tuple(section.get("id") for section in tree_of(page).iter("section")) == SECTIONS
    assert "The candidate was not measured on the test split" in page and CHAMPION in page


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1, 2])
def test_text_colours_reach_the_contrast_of_wcag_aa(theme: int) -> None:
    style = (Path(report_html.__file__).parent / "templates" / "style.css.jinja").read_text(encoding="utf-8")
    blocks = [dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", block)) for block in re.findall(r":root\{([^}]*--page[^}]*)\}", style)]
    colours = blocks[theme]
    for name in ("text", "muted", "accent", "warn", "good"):
        for ground in ("page", "box"):
            light, dark = sorted((luminance(colours[name]), luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ground)


def test_settings_of_the_command_line_stand_in_what_repeats_the_run() -> None:
    whole = replace(inputs_of(), overrides=("train.epochs=3", "task.system=Be brief."))
    assert "provetune run --set train.epochs=3 --set &#39;task.system=Be brief.&#39;\nprovetune report" in render_report(whole)
    assert "provetune run\nprovetune report" in render_report(inputs_of())
