"""A job of Hugging Face, by its own command line: one machine, billed by the minute, ended by its timeout."""

from __future__ import annotations

import shlex

from provetune.launching.request import LaunchRequest

MOUNT = "/provetune"
ATTEMPTS = 3


def write(request: LaunchRequest) -> str:
    """A shell script of one command."""
    options = [
        *("--name", request.name),
        *("--flavor", request.instance.name),
        *("--timeout", f"{request.seconds}s"),
        *("--attempts", str(ATTEMPTS)),
        *("--volume", f"{request.bucket}:{MOUNT}:rw"),
        *(("--namespace", request.account["namespace"]) if request.account.get("namespace") else ()),
    ]
    command = [*("hf", "jobs", "run", "--detach"), *options, request.image, *request.command(f"{MOUNT}/{request.project}")]
    return f"#!/bin/sh\nset -eu\nexec {shlex.join(command)}\n"
