"""How stores that are nothing like a database are put through the shared suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bus.conformance.sink_suite import Row
from bus.connect import Sink
from bus.failpoints import Point
from bus.model import View
from tests.support.stores.folder import FolderOptions, FolderSink, read
from tests.support.stores.receiver import ReceiverOptions, ReceiverSink, receiving
from tests.support.stores.said import held


class FolderRig:
    """Sinks over one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def sink(self) -> Sink:
        return FolderSink(FolderOptions(path=self.path))

    async def stored(self, view: View) -> list[Row]:
        return held(messages(self.path / view.stream), view)

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        aside = self.path.rename(self.path.with_suffix(".aside"))
        yield
        aside.rename(self.path)

    async def drop_connections(self) -> None:
        """A folder has none."""

    @contextmanager
    def killing(self, point: Point) -> Iterator[None]:
        raise NotImplementedError(point)


def messages(folder: Path) -> Iterator[Mapping[str, Any]]:
    """What the files of one stream say, each lane's in the order of its numbers."""
    for file in sorted(folder.glob("*/*.jsonl")):
        lines = read(file)[1:]
        rows = [line["row"] for line in lines if "row" in line]
        erased = [line["erased"] for line in lines if "erased" in line]
        yield {"rows": rows, "erased": erased, "is_anew": False}


class ReceiverRig:
    """Sinks that send to one receiver, which takes everything down."""

    def __init__(self) -> None:
        self.taken: list[Mapping[str, Any]] = []
        self.port = 0
        self._server = AsyncExitStack()

    def sink(self) -> Sink:
        return ReceiverSink(ReceiverOptions(port=self.port))

    async def start(self) -> None:
        """Listen, where it did before."""
        self.port = await self._server.enter_async_context(receiving(self._take, self.port))

    async def stop(self) -> None:
        """Listen no longer."""
        await self._server.aclose()

    async def stored(self, view: View) -> list[Row]:
        return held([each for each in self.taken if each["stream"] == view.stream], view)

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        await self.stop()
        yield
        await self.start()

    async def drop_connections(self) -> None:
        """Each message has one of its own."""

    @contextmanager
    def killing(self, point: Point) -> Iterator[None]:
        raise NotImplementedError(point)

    def _take(self, message: Mapping[str, Any]) -> str:
        if "hello" not in message:
            self.taken.append(message)
        return "ok"
