"""Load: our gateway beside `transformers serve` and llama.cpp's server, one after the other on the same core(s) and the same model.

    python -m benchmarks.serving [--requests 128] [--at-once 1 8 64] [--threads 1] [--transformers FILE] [--llama-server FILE --gguf FILE]
    python -m benchmarks.serving --minutes 30      memory of the gateway under steady load

`--transformers` is the command of an environment whose extra `serving` is installed; a rival that is not named is left out, and said.
Wall times are those of a machine that may have other work; requests per CPU-second of the server are not touched by it.
Requests: the support tickets of the package below one system prompt, greedy, 32 new tokens at most, no stop text.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil

from provetune.models.locate import STARTER

SYSTEM = (
    "You sort support tickets. Read the ticket and answer with the name of the queue that should handle it: billing, delivery, access, "
    "returns, technical or account. Answer with one word, in lower case, without a full stop, and do not explain your choice."
)
NEW, WARM_UP, READY_S = 32, 8, 180.0
GATEWAY = """
import sys, pathlib, torch
torch.set_num_threads(int(sys.argv[2]))
from provetune.models.live import LiveModel
from provetune.models.locate import STARTER
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import load_model
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.serving.app import application
from provetune.serving.engine_backend import EngineBackend
from provetune.serving.fleet import Fleet, Lineup, Served
from provetune.serving.gateway import Gateway
from provetune.serving.server import GatewayServer, listening
candidate = Candidate(name="starter", kind="prompt", prompt=Prompt(strategy="plain"), generation=GenerationSettings())
backend = EngineBackend(LiveModel(load_model(STARTER), FolderTokenizer(STARTER)))
gateway = Gateway(Fleet("starter", Lineup(Served("starter", "", candidate, "", backend)), "salt"))
GatewayServer(gateway, application(gateway)).run(sockets=[listening("127.0.0.1", int(sys.argv[1]))])
"""


def tickets() -> list[str]:
    """The texts that are asked about."""
    table = next(file for file in files("provetune.examples_data").joinpath("support_tickets").iterdir() if file.name.endswith(".csv"))
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    return [max(row.values(), key=len) for row in rows]


@contextlib.contextmanager
def server(command: list[str], url: str, threads: int) -> Iterator[psutil.Process]:
    """Run a server until the block ends; RuntimeError where it does not answer in time."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        try:
            deadline = time.monotonic() + READY_S
            while True:
                with contextlib.suppress(httpx2.HTTPError):
                    if httpx2.get(f"{url}/health" if "8399" not in url else f"{url}/healthz").status_code < 500:
                        break
                if child.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} did not start: {(child.stderr.read() if child.stderr else b'')[-500:].decode()}")
                time.sleep(0.3)
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait()


def cpu_seconds(process: psutil.Process) -> float:
    """What a server and its children have used so far; other work on the machine does not count."""
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


async def load(url: str, model: str, count: int, at_once: int) -> dict[str, float]:
    """`count` requests, `at_once` at a time: requests and completion tokens per second, seconds of the median, 95 % and 99 %."""
    texts = tickets()
    numbers, taken, tokens = iter(range(count)), [], 0

    async def client(http: httpx2.AsyncClient) -> None:
        nonlocal tokens
        for number in numbers:
            turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": texts[number % len(texts)]}]
            body: dict[str, Any] = {"model": model, "messages": turns, "max_tokens": NEW, "temperature": 0}
            began = time.monotonic()
            reply = await http.post(f"{url}/v1/chat/completions", json=body)
            reply.raise_for_status()
            taken.append(time.monotonic() - began)
            tokens += reply.json()["usage"]["completion_tokens"]

    limits = httpx2.Limits(max_connections=at_once)
    began = time.monotonic()
    async with httpx2.AsyncClient(timeout=600, limits=limits) as http:
        await asyncio.gather(*(client(http) for _ in range(at_once)))
    seconds = time.monotonic() - began
    median, high, highest = np.quantile(taken, [0.5, 0.95, 0.99])
    return {"requests_per_s": count / seconds, "tokens_per_s": tokens / seconds, "p50_s": median, "p95_s": high, "p99_s": highest}


def systems(options: argparse.Namespace) -> Iterator[tuple[str, list[str], str, str]]:
    """(name, command, address, what it calls the model) of each server."""
    yield "provetune serve", [sys.executable, "-c", GATEWAY, "8399", str(options.threads)], "http://127.0.0.1:8399", "starter"
    if options.transformers:
        command = [options.transformers, "serve", "--port", "8398", "--host", "127.0.0.1", str(STARTER), *options.transformers_options]
        yield "transformers serve", command, "http://127.0.0.1:8398", str(STARTER)
    if options.llama_server:
        command = [options.llama_server, "-m", options.gguf, "--port", "8397", "-np", "64", "-t", str(options.threads), "-c", "65536"]
        yield "llama.cpp server", command, "http://127.0.0.1:8397", "starter"


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=128)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--transformers")
    parser.add_argument("--transformers-options", nargs=argparse.REMAINDER, default=[])
    parser.add_argument("--llama-server")
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--minutes", type=float, default=0.0)
    options = parser.parse_args()
    if options.minutes:
        steady(options)
        return
    print(f"| server | at once | requests/s | tokens/s | p50 s | p95 s | p99 s | requests per CPU-second |\n{'|---' * 8}|")
    for name, command, url, model in systems(options):
        try:
            with server(command, url, options.threads) as process:
                asyncio.run(load(url, model, WARM_UP, 4))
                for at_once in options.at_once:
                    count, before = min(options.requests, 32 * at_once), cpu_seconds(process)
                    found = asyncio.run(load(url, model, count, at_once))
                    found["requests_per_cpu_s"] = count / (cpu_seconds(process) - before)
                    print(f"| {name} | {at_once} | " + " | ".join(f"{value:.3g}" for value in found.values()) + " |", flush=True)
        except (RuntimeError, httpx2.HTTPError) as error:
            print(f"| {name} | not measured: {str(error)[:300]} |", flush=True)


def steady(options: argparse.Namespace) -> None:
    """Resident memory of our gateway, once a minute, under 8 requests at a time."""
    _, command, url, model = next(systems(options))
    with server(command, url, options.threads) as process:
        began = time.monotonic()
        while time.monotonic() - began < options.minutes * 60:
            asyncio.run(load(url, model, 256, 8))
            minute, mib = (time.monotonic() - began) / 60, process.memory_info().rss / 2**20
            print(f"{minute:6.1f} min  {mib:8.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
