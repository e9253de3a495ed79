"""A command whose output is captured, while its progress bars show on the terminal."""

import fcntl
import os
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread

# A bar is drawn over and over in one line, and wiped at its end.
_BAR = re.compile(r"[^\r\n]*\r(?!\n)")
_LINE = re.compile(rb"[^\r\n]*\r?\n")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_showing_progress(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run ``command`` and capture its output.

    Where our stderr is a terminal, the command's stderr is one too (a pseudo-terminal), and what
    it draws there is copied to ours; its lines are captured all the same.
    """
    if not sys.stderr.isatty():
        return subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, check=False
        )
    ours, theirs = os.openpty()
    columns, rows = shutil.get_terminal_size()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    drawn = bytearray()
    process = subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    copier = Thread(target=_copy, args=(ours, drawn))
    copier.start()
    stdout, _ = process.communicate()
    copier.join()
    os.close(ours)
    text = _CONTROL.sub("", drawn.decode(errors="replace"))
    stderr = _BAR.sub("", text.replace("\r\n", "\n"))
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def _copy(terminal: int, drawn: bytearray) -> None:
    """Copy the bars to stderr as they are drawn. Whole lines are for the caller to report."""
    pending = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            # How Linux says that the other end is closed.
            break
        if not chunk:
            break
        drawn += chunk
        text = _LINE.sub(b"", pending + chunk)
        # What follows the last carriage return may be the beginning of a line, of which the rest is
        # still to be read. The bars of tqdm have "%|" in them.
        end = text.rfind(b"\r", 0, len(text) - 1) + 1
        if b"%|" in text[end:]:
            end = len(text)
        bars, pending = text[:end], text[end:]
        sys.stderr.buffer.write(bars)
        sys.stderr.buffer.flush()
    sys.stderr.buffer.write(b"\r\x1b[K")
    sys.stderr.buffer.flush()
