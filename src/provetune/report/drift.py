"""One offline page for a look at the traffic."""

from __future__ import annotations

from provetune.records.monitoring import DriftReport, RetrainProposal
from provetune.report.html import environment

FOUND_WORDS = {"drift": "DRIFT", "slight": "A SLIGHT DIFFERENCE", "none": "NO DRIFT", "not comparable": "NOT COMPARABLE"}
_SIGNALS = 40


def render_look(report: DriftReport, proposal: RetrainProposal | None = None) -> str:
    """The look as one HTML document without script or outside reference; texts of requests are escaped and cut."""
    terms = {term.term: term for signal in report.signals for term in signal.terms}
    values = {
        "report": report,
        "proposal": proposal,
        "found": FOUND_WORDS[report.found],
        "terms": sorted(terms.values(), key=lambda term: (term.p_value, -term.window))[:20],
        "signals": report.signals[:_SIGNALS],
    }
    return environment().get_template("look.html.jinja").render(values)
