"""The root of the command line: global options, and what several verbs share. Everything heavy is imported inside functions."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provetune import __version__
from provetune.cli.session import Format, Session
from provetune.errors import Notice

if TYPE_CHECKING:
    from provetune.protocols import Progress
    from provetune.workflow.project import Project

app = typer.Typer(
    name="provetune",
    help="From a file of examples to a fine-tuned language model that is proven better than prompting.",
    epilog="Exit codes: 0 done or SHIP, 1 bug, 2 usage, 3 HOLD, 4 NOT ENOUGH EVIDENCE, 5 blocked by the audit, "
    "6 nothing can be trained here, 7 drift or harm, 8 stopped with saved state, 130 interrupted. "
    "Global options may stand before or after the verb.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ORDER = (
    *("demo", "init", "audit", "plan", "split", "baseline", "train", "prove", "run", "report", "compare", "vote", "label"),
    *("ship", "registry", "serve", "watch", "retune", "launch", "studio", "import", "export", "doctor", "schema"),
)
"""The verbs as the help lists them: the way of a project, then what stands beside it."""

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of provetune.yaml for this call, e.g. train.epochs=3. Repeatable."),
]


def in_order(root: typer.Typer) -> None:
    """Sort the registered verbs into the order of the help; one that `ORDER` lacks comes last."""
    places = {name: place for place, name in enumerate(ORDER)}
    root.registered_commands.sort(key=lambda one: places.get(str(one.name or getattr(one.callback, "__name__", "")), len(places)))


def _version(asked: bool) -> None:
    if asked:
        print(f"provetune {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    ctx: typer.Context,
    project: Annotated[
        Path, typer.Option("-C", "--project", metavar="DIR", help="The project folder; the current one if not given.")
    ] = Path(),
    output: Annotated[
        Format, typer.Option("--format", help="json: one document on standard output, the rest on standard error.")
    ] = "human",
    offline: Annotated[
        bool, typer.Option("--offline", help="Never ask the network; models come from folders and the local cache.")
    ] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Also show what the libraries say, and tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    session = ctx.ensure_object(Session)
    session.folder, session.format, session.verbose = project, output, verbose
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    if not verbose:
        _quiet_libraries(keep_download_bars=sys.stderr.isatty() and session.format == "human")


def _quiet_libraries(*, keep_download_bars: bool) -> None:
    """Before any of them is imported; a setting of the user's own stands."""
    quiet = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_VERBOSITY": "error", "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}
    if not keep_download_bars:
        quiet["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    for name, value in {**quiet, "HF_HUB_DISABLE_TELEMETRY": "1"}.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    warnings.simplefilter("once", Notice)


def opened(session: Session, folder: Path, overrides: list[str] | None, progress: Progress) -> Project:
    """The project in a folder that can be written."""
    from provetune.store import need_writable
    from provetune.workflow.project import SPEC_FILE, open_project

    if (folder / SPEC_FILE).is_file():
        need_writable(folder)
    return open_project(folder, overrides or (), progress)
