"""``renkei`` without its start: a process that has imported everything forks for each command.

Whoever runs ``renkei`` from :func:`warm`'s folder runs the product's own ``main`` with the
arguments, environment, folder and streams of the caller, in a process of its own. Only the imports
are saved: a page of commands is walked in the time that its commands take. Whoever sets
:data:`FIRST` has its text run before, to take a piece out of what the command does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIRST = "WARM_FIRST"
MOST = 1 << 17  # bytes of a request: arguments and environment
READY_WITHIN_S = 120.0
ENDS_WITHIN_S = 10.0

_CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
    line.connect({address!r})
    told = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(line, [told], [0, 1, 2])
    ended = int(line.recv(16) or b"1")
if ended < 0:  # by a signal, and so it is told
    os.kill(os.getpid(), -ended)
    signal.pause()
sys.exit(ended)
"""


@contextmanager
def warm(folder: Path) -> Iterator[Path]:
    """A folder with a ``renkei`` to put on a path; what serves it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    address, program = folder / "line", folder / "renkei"
    program.write_text(_CLIENT.format(python=sys.executable, address=str(address)))
    program.chmod(0o700)
    server = subprocess.Popen(
        [sys.executable, "-m", __name__, str(address)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdin is not None
        assert server.stdout is not None
        ready, _, _ = select.select([server.stdout.fileno()], [], [], READY_WITHIN_S)
        assert ready, "the commands were not imported in time"
        assert server.stdout.readline() == b"ready\n"
        yield folder
    finally:
        try:
            server.communicate(b"", ENDS_WITHIN_S)  # its stdin ends, and with it the server
        except subprocess.TimeoutExpired:
            server.kill()
        program.unlink()
        address.unlink(missing_ok=True)


def serve(address: str) -> None:
    """Answer until stdin ends."""
    for package in ("bus.cli", "bus.app", "bus.operate"):
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(address)
        listening.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever runs a command waits for it
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        gc.collect()
        gc.freeze()  # what is there already is looked through by no command
        while True:
            heard, _, _ = select.select([listening.fileno(), 0], [], [])
            if 0 in heard:
                return
            line, _ = listening.accept()
            with line:
                if os.fork() == 0:
                    listening.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _answer(line)


def _answer(line: socket.socket) -> None:
    """Run one command in a process of its own, and tell how it ended; does not come back.

    A caller that is gone, killed by its own time limit say, leaves no command behind.
    """
    told, streams, _, _ = socket.recv_fds(line, MOST, 3)
    command = os.fork()
    if command == 0:
        line.close()
        _become(told, streams)
    ended_or_left, _, _ = select.select([os.pidfd_open(command), line.fileno()], [], [])
    if line.fileno() in ended_or_left:
        os.kill(command, signal.SIGKILL)
    _, status = os.waitpid(command, 0)
    ended = os.waitstatus_to_exitcode(status)
    with suppress(BrokenPipeError):
        line.send(str(ended).encode())
    os._exit(0)


def _become(told: bytes, streams: list[int]) -> None:
    """Be the command; does not come back."""
    arguments, environment, folder = json.loads(told)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    tempfile.tempdir = None
    sys.argv = ["renkei", *arguments]
    sys.modules["__main__"].__package__ = ""  # as a script has it: help names the program by it
    exec(os.environ.pop(FIRST, ""), {})
    main = importlib.import_module("bus.cli.main").main
    ended = 1  # as Python ends whatever is not caught; its traceback is written by what ends it
    try:
        main()
        ended = 0
    except SystemExit as end:
        ended = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        if (error := sys.exc_info()[1]) is not None:
            sys.excepthook(type(error), error, error.__traceback__)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended)


if __name__ == "__main__":
    serve(sys.argv[1])
