"""Telling somebody: a webhook or a mailbox, behind one small function each."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from urllib.parse import parse_qs, urlsplit

import httpx2

from provetune.errors import EndpointError, SpecError
from provetune.records.monitoring import DriftReport

_TIMEOUT_S = 10.0


def notify(target: str, report: DriftReport, page: str) -> None:
    """Send what a look found. `target` is `https://...` or `mailto:who@host?server=host:port`; texts of requests are not sent.

    Raises EndpointError where it does not arrive, SpecError on a target of another kind.
    """
    parts = urlsplit(target)
    if parts.scheme in ("http", "https"):
        _post(target, report, page)
    elif parts.scheme == "mailto":
        _mail(parts.path, parse_qs(parts.query).get("server", ["localhost:25"])[0], report, page)
    else:
        raise SpecError(f"watch.notify: found {target!r}, wanted https://... or mailto:who@host?server=host:port")


def subject(report: DriftReport) -> str:
    """One line that says what is the matter."""
    harm = report.harm is not None and report.harm.alarm
    word = "HARM" if harm else "DRIFT" if report.found == "drift" else "evaluation due" if report.proposal else report.found
    return f"provetune watch, look {report.look}: {word}"


def _post(url: str, report: DriftReport, page: str) -> None:
    content = {
        "text": f"{subject(report)}. {page}",
        "found": report.found,
        "harm": report.harm is not None and report.harm.alarm,
        "proposal": report.proposal,
        "look": report.look,
        "at": report.at,
        "report": report.fingerprint,
    }
    try:
        httpx2.post(url, json=content, timeout=_TIMEOUT_S).raise_for_status()
    except httpx2.HTTPError as error:
        raise EndpointError(f"{urlsplit(url).netloc}: the notice was not taken ({error}); it is sent again at the next look") from error


def _mail(to: str, server: str, report: DriftReport, page: str) -> None:
    message = EmailMessage()
    message["Subject"], message["To"], message["From"] = subject(report), to, "provetune-watch@localhost"
    message.set_content(f"{subject(report)}.\n\nPage: {page}\nReport: {report.fingerprint}\n")
    host, _, port = server.partition(":")
    try:
        with smtplib.SMTP(host, int(port or 25), timeout=_TIMEOUT_S) as connection:
            connection.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise EndpointError(f"{server}: the mail was not taken ({error}); it is sent again at the next look") from error
