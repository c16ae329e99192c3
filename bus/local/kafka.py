"""Apache Kafka on one node: broker and controller in one process, KRaft, loopback only."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import struct
import uuid
from collections.abc import Mapping
from pathlib import Path

import psutil

from bus.local import java
from bus.local.engine import LOOPBACK, Command, environment
from bus.local.folder import Folder

HEAP_MB = 512
ANSWER_SECONDS = 2.0
METADATA, METADATA_VERSION = 3, 2


class Kafka:
    """One broker. What it acknowledged survives its death: it is in the kernel's page cache."""

    name = "kafka"
    stop_signal = signal.SIGTERM
    ready_seconds = 60.0

    def __init__(self, folder: Folder, jars: list[Path], port: int, controller_port: int) -> None:
        self.port = port
        self._controller_port = controller_port
        self._folder = folder
        self._jars = jars
        self._data = folder.data / "kafka"
        self._config = folder.run / "kafka.properties"

    @property
    def ports(self) -> Mapping[str, int]:
        """The broker's port and the controller's."""
        return {"kafka": self.port, "controller": self._controller_port}

    def prepare(self) -> bool:
        """Write the settings; format the data folder if that was never done."""
        self._config.write_text(self.properties(), encoding="ascii")
        if (self._data / "meta.properties").is_file():
            return False
        shutil.rmtree(self._data, ignore_errors=True)  # half formatted: it never held a record
        cluster = base64.urlsafe_b64encode(b"\x04" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        tool = ["format", "--cluster-id", cluster, "--config", str(self._config)]
        self._java("kafka.tools.StorageTool", tool).run(self._folder.log(self.name))
        return True

    def properties(self) -> str:
        """The broker's settings, by Kafka's names."""
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{LOOPBACK}:{self._controller_port}",
            "listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},"
            f"CONTROLLER://{LOOPBACK}:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self._data,
            # topics come from the catalogue, never from a client's typing error
            "auto.create.topics.enable": "false",
            "num.partitions": 1,
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # after a crash the broker is let in again once its last session has run out
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            "group.initial.rebalance.delay.ms": 0,
            "log.cleaner.enable": "true",
            # taken from the heap at once; 32 MB compact 1.2 million keys per pass
            "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "num.recovery.threads.per.data.dir": 2,
        }
        return "".join(f"{name}={escaped(str(value))}\n" for name, value in settings.items())

    def command(self) -> Command:
        """The command of broker and controller."""
        return self._java("kafka.Kafka", [str(self._config)])

    def is_ready(self) -> bool:
        """Whether the broker is registered and knows its controller."""
        try:
            return ready(LOOPBACK, self.port)
        except (OSError, struct.error):
            return False

    def settle(self) -> None:
        """Do nothing: nothing is left."""

    def owns(self, process: psutil.Process) -> bool:
        """Whether the process has this data folder's mark."""
        return java.mark(self.name, self._folder.home) in process.cmdline()

    def _java(self, main: str, arguments: list[str]) -> Command:
        log4j = Path(__file__).with_name("log4j2.xml")
        classpath = os.pathsep.join(str(jar) for jar in self._jars)
        home = self._folder.home
        temporary = self._folder.run / "tmp"
        temporary.mkdir(exist_ok=True)
        options = java.options(self.name, home, HEAP_MB, temporary)
        return Command(
            [
                str(java.java()),
                *options,
                f"-Dlog4j2.configurationFile={log4j}",
                *("-cp", classpath, main, *arguments),
            ],
            folder=self._folder.run,
            environment=environment(home),
        )


def escaped(value: str) -> str:
    """A value for a Java properties file, which is read as ISO 8859-1.

    Source: java.util.Properties, "load".
    """
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    return "".join(chr(code) if code < 0x80 else f"\\u{code:04x}" for code in codes)


def ready(host: str, port: int) -> bool:
    """Whether the cluster's metadata name a broker and a controller.

    Written out rather than through a client: it asks once, of a broker that may not be there.

    Source: Apache Kafka protocol guide, Metadata request version 2.
    """
    client = b"renkei-local"
    request = struct.pack(">hhih", METADATA, METADATA_VERSION, 1, len(client)) + client
    request += struct.pack(">i", 0)  # no topics
    with socket.create_connection((host, port), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            (size,) = struct.unpack(">i", stream.read(4))
            return _has_controller(stream.read(size))


def _has_controller(answer: bytes) -> bool:
    at = 4  # correlation id
    brokers = _int(">i", answer, at)
    at += 4
    for _ in range(brokers):
        at = _after_string(answer, at + 4) + 4  # node, host, port
        at = _after_string(answer, at)  # rack
    at = _after_string(answer, at)  # cluster
    return brokers > 0 and _int(">i", answer, at) >= 0


def _after_string(answer: bytes, at: int) -> int:
    return at + 2 + max(_int(">h", answer, at), 0)


def _int(form: str, answer: bytes, at: int) -> int:
    (value,) = struct.unpack_from(form, answer, at)
    return int(value)
