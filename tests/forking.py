"""Command lines of Python in processes that need not import torch: a server has, and forks itself for each.

Importing torch takes several seconds, most commands a tenth of one.  Apart from that these are processes like others,
with their own streams, signals and exit codes.  tests/test_cli.py tests how ``python -m profiler`` itself starts.
"""

from __future__ import annotations

import array
import atexit
import functools
import io
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

ROOT = Path(__file__).parents[1]

PROFILER = (sys.executable, "-m", "profiler")
"""The command, as it is started where ``profiler`` is not on the path."""

CLIENT = """#!{python} -IS
import array, json, os, socket, sys
request = {{
    "arguments": [*{arguments!r}, *sys.argv[1:]], "folder": os.getcwd(), "environment": dict(os.environ),
    "open": [True, True, True], "session": False,
}}
server = socket.socket(socket.AF_UNIX)
server.connect({place!r})
streams = array.array("i", [0, 1, 2])
server.sendmsg([json.dumps(request).encode() + b"\\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
code = int(server.makefile().read().split()[1])
sys.exit(code if code >= 0 else 128 - code)
"""


@functools.cache
def server() -> str:
    """The place of the server's socket.  The first call starts the server, which ends with this process."""
    folder = tempfile.mkdtemp(prefix="forking-")
    place = os.path.join(folder, "socket")
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.fork_server", place],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def end() -> None:
        running.communicate()  # closes its standard input
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    assert running.stdout is not None
    assert [running.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2
    return place


def program(place: Path, *arguments: str) -> None:
    """Write a program for shells: it runs ``python`` with these arguments and its own, in a process of the server."""
    place.write_text(
        CLIENT.format(python=sys.executable, arguments=arguments, place=f"{server()}.parts"), encoding="utf-8"
    )
    place.chmod(0o755)


class Forked:
    """A process that runs a command line of ``sys.executable``; what it prints is kept, unless ``stdout`` is given.

    With ``session`` it is the first of a process group of its own.  It does not have the descriptors in ``closed``.
    With ``fresh`` it has imported libraries, but nothing of the profiler.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: IO[bytes] | None = None,
        session: bool = False,
        closed: Sequence[int] = (),
        fresh: bool = False,
    ) -> None:
        assert command[0] == sys.executable
        self.args = list(command)
        self.returncode: int | None = None
        self.stdout, self.stderr = io.BytesIO(), io.BytesIO()
        self._readers: list[threading.Thread] = []
        given = [os.open(os.devnull, os.O_RDONLY), os.dup(stdout.fileno()) if stdout else self._pipe(self.stdout)]
        given.append(self._pipe(self.stderr))
        request = {
            "arguments": self.args[1:],
            "folder": str(cwd or Path.cwd()),
            "environment": dict(os.environ if env is None else env),
            "open": [place not in closed for place in range(3)],
            "session": session,
        }
        sent = array.array("i", [descriptor for place, descriptor in enumerate(given) if place not in closed])
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(server() if fresh else f"{server()}.parts")
        self._server.sendmsg([json.dumps(request).encode() + b"\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)])
        for descriptor in given:
            os.close(descriptor)
        self.pid = self._answer()

    def _pipe(self, kept: io.BytesIO) -> int:
        reading, writing = os.pipe()

        def read() -> None:
            with open(reading, "rb") as stream:
                shutil.copyfileobj(stream, kept)

        self._readers.append(threading.Thread(target=read, daemon=True))
        self._readers[-1].start()
        return writing

    def _answer(self) -> int:
        text = b""
        while not text.endswith(b"\n"):
            text += self._server.recv(1)
        return int(text)

    def poll(self) -> int | None:
        """The exit code, or None while the process runs."""
        if self.returncode is None and select.select([self._server], [], [], 0)[0]:
            return self.wait()
        return self.returncode

    def wait(self, timeout: float = 600) -> int:
        """The exit code, when the process has ended."""
        if self.returncode is None:
            if not select.select([self._server], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = self._answer()
            self._server.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, number)

    def communicate(self, timeout: float = 600) -> tuple[str, str]:
        """What the process printed, when it and all that has its streams have ended."""
        end = time.monotonic() + timeout
        self.wait(timeout)
        for reader in self._readers:
            reader.join(max(0.1, end - time.monotonic()))
        return self.stdout.getvalue().decode(errors="replace"), self.stderr.getvalue().decode(errors="replace")


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    fresh: bool = False,
    timeout: float = 600,
) -> subprocess.CompletedProcess[str]:
    """The command line, when its process has ended."""
    process = Forked(command, cwd=cwd, env=env, fresh=fresh)
    try:
        out, err = process.communicate(timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(9)
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def fork_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, counters that need a process of their own get one from the server."""

    def run_counter(command: Sequence[str], *, timeout: float, **_: object) -> subprocess.CompletedProcess[str]:
        return run(command, timeout=timeout)

    stand_in = SimpleNamespace(run=run_counter, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr("profiler.crosschecks.process.subprocess", stand_in)
