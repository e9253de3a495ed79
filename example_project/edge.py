#!/usr/bin/env python
"""An S3 server and a CDN in front of it on this machine, for a site of your own, until Ctrl-C.

It prints what to set in the environment of that site: `docs/start/tutorial.md` uses it.
"""

import argparse
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from walkthrough.edge import CREDENTIALS, local_edge


def main() -> None:
    """Print the environment and wait for Ctrl-C."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="edge-") as scratch,
        local_edge(Path(scratch)) as edge,
    ):
        print(f"# The CDN is {edge.described}. Until Ctrl-C:")
        for name, value in {**edge.environment(), **CREDENTIALS}.items():
            print(f"export {name}={value}")
        print(end="", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
