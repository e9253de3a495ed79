"""``python -m tests.uvicorn_at 127.0.0.1:8000``: uvicorn, told where as the other servers are."""

from __future__ import annotations

import sys

import uvicorn

if __name__ == "__main__":
    host, port = sys.argv[1].split(":")
    uvicorn.run(
        "tests.served_site:asgi",
        factory=True,
        host=host,
        port=int(port),
        access_log=False,
        lifespan="off",
    )
