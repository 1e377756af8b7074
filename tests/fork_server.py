"""A server that has imported torch once, and forks a process for each command line of Python that it is sent.

``tests.forking`` starts it and asks it.  It ends when its standard input is closed.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import types
import warnings
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "torch._dynamo", "pandas", "pydantic", "click", "rich.console", "yaml", "jinja2")
PARTS = ("profiler.api", "profiler.cli.commands.profile", "profiler.tracing", "profiler.render", "profiler.tables")
"""What nearly every command needs; importing it takes more time than most commands."""

LONGEST = 1 << 20
"""The number of bytes that are read at once."""

Request = dict[str, Any]

ended: list[int] = []
"""The exit code of this process, once it is known."""


def leave() -> None:
    """End the process after everything else is done, and leave what was imported to the system: half a second less."""
    if ended:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # None, unwritable, closed
                stream.flush()
        ctypes.CDLL(None).fflush(None)
        os._exit(ended[0])


def received(connection: socket.socket) -> tuple[Request, list[int]]:
    """A request, and the three descriptors that came with it, of which the closed ones are missing."""
    descriptors = array.array("i")
    text, extra, *_ = connection.recvmsg(LONGEST, socket.CMSG_SPACE(3 * descriptors.itemsize))
    for level, kind, data in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data)
    while not text.endswith(b"\n"):
        text += connection.recv(LONGEST)
    return json.loads(text), list(descriptors)


def open_streams(request: Request, descriptors: list[int]) -> None:
    """Put the descriptors into their places, and make Python's streams as at its start: a closed one is None."""
    for place, name in enumerate(("stdin", "stdout", "stderr")):
        stream = None
        if request["open"][place]:
            os.dup2(descriptors.pop(0), place)
            buffering = 1 if place == 2 or os.isatty(place) else -1
            errors = "backslashreplace" if place == 2 else "strict"
            stream = open(place, "w" if place else "r", buffering, errors=errors, closefd=False)  # noqa: SIM115
        else:
            os.close(place)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def run(arguments: list[str], path: list[str]) -> None:
    """Run what ``python`` runs with these arguments: ``-m``, ``-c`` or a file, after any of ``-P`` and ``-W``."""
    first: list[str] | None = None
    while (word := arguments.pop(0)) in ("-P", "-W"):
        if word == "-W":
            warnings.simplefilter(arguments.pop(0))  # type: ignore[arg-type]
        else:
            first = []
    if word == "-m":
        import runpy

        sys.argv = [arguments[0], *arguments[1:]]
        sys.path[:] = [*([os.getcwd()] if first is None else first), *path]
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    code = arguments[0] if word == "-c" else Path(word).read_text(encoding="utf-8")
    folder = "" if word == "-c" else str(Path(word).parent.absolute())
    sys.argv = ["-c", *arguments[1:]] if word == "-c" else [word, *arguments]
    sys.path[:] = [*([folder] if first is None else first), *path]
    exec(compile(code, "<string>" if word == "-c" else word, "exec"), vars(main))


def begin(request: Request, descriptors: list[int]) -> None:
    """Become the process of a request, up to its first line."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background may inherit that it is ignored
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if request["session"]:
        os.setsid()
    os.chdir(request["folder"])
    open_streams(request, descriptors)
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(request["environment"])
    given = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    try:
        run(list(request["arguments"]), [*given, *(place for place in sys.path[1:] if place not in own)])
        ended.append(0)
    except SystemExit as error:
        ended.append(error.code if isinstance(error.code, int) else int(error.code is not None))
        raise
    except BaseException:
        ended.append(1)
        raise


def watch(connection: socket.socket, request: Request, descriptors: list[int]) -> bool:
    """Fork the process and send its id, and at last how it ended, to the client.  True in the process itself."""
    pid = os.fork()
    if pid == 0:
        connection.close()
        return True
    for descriptor in descriptors:
        os.close(descriptor)
    try:
        connection.sendall(f"{pid}\n".encode())
        connection.sendall(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
    except BrokenPipeError:  # the client has ended
        os.waitpid(pid, 0)
    os._exit(0)


def serve(place: str) -> tuple[Request, list[int]]:
    """Fork for each request.  Returns in every process that was forked; the server itself never returns."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen()
    os.write(1, b"ready\n")
    watching = 0
    while True:
        ready, _, _ = select.select([listener.fileno(), 0], [], [])
        while watching and os.waitpid(-1, os.WNOHANG)[0]:
            watching -= 1
        if 0 in ready:
            os._exit(0)
        connection, _ = listener.accept()
        request, descriptors = received(connection)
        if os.fork() == 0:
            listener.close()
            if watch(connection, request, descriptors):
                return request, descriptors
        watching += 1
        connection.close()
        for descriptor in descriptors:
            os.close(descriptor)


def main(place: str) -> None:
    """Serve at ``place`` with the libraries imported, and in another process beside it with parts of the package."""
    atexit.register(leave)  # what is registered first is called last
    for module in LIBRARIES:
        importlib.import_module(module)
    with_parts = os.fork() == 0
    for module in PARTS if with_parts else ():
        importlib.import_module(module)
    gc.freeze()
    begin(*serve(f"{place}.parts" if with_parts else place))


if __name__ == "__main__":
    main(sys.argv[1])
