"""Serving the page on the loopback interface until the annotator has finished."""

from __future__ import annotations

from collections.abc import Callable

import uvicorn

from provetune.labelling.page import Access, label_page
from provetune.labelling.round import Round
from provetune.local_page import listening


def serve(work: Round, port: int, opened: Callable[[str], None], visible: Callable[[str], str]) -> None:
    """Serve the page on 127.0.0.1 (port 0 takes a free one) and call `opened(url)` when it answers; returns when finished or interrupted.

    Raises SpecError where the port is taken.
    """
    with listening(port) as socket:
        access = Access(socket.getsockname()[1], lambda: setattr(server, "should_exit", True))
        page = label_page(work, access, visible)
        config = uvicorn.Config(page, log_level="error", access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        opened(access.url)
        try:
            server.run(sockets=[socket])
        except KeyboardInterrupt:
            return  # every vote is on the disk; Ctrl-C is a way to finish
