"""Hand deliveries over as files in a folder, for a program that takes them in by their numbers.

A file is written whole, under the next number of its lane, and never touched again: what it said
of somebody stays said. So this takes no *Rewrites*, and a subscription that withholds locations is
refused to it. A delivery that comes again is known by its token and leaves no second file.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bus.connect import Capabilities
from bus.errors import ConfigurationError, SinkUnavailable
from bus.model import Applied, Delivery, Erasures, Keeping, Upserts, View


class FolderOptions(BaseModel):
    """Where the files go; the folder must be there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path


class FolderSink:
    """One folder per stream and partition, one file per delivery."""

    Options = FolderOptions

    def __init__(self, options: FolderOptions) -> None:
        self._root = options.path
        self._folder: Path | None = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def open(self, view: View) -> None:
        self._reach()
        folder = self._root / view.stream
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        self._folder = folder

    async def apply(self, delivery: Delivery) -> Applied:
        self._reach()
        if self._folder is None:
            raise SinkUnavailable("the folder is not open")
        lines = list(_lines(delivery))
        if lines:
            folder = self._folder / str(delivery.partition)
            await asyncio.to_thread(_put, folder, delivery.token, lines)
        return Applied(len(lines), datetime.now(UTC))

    async def close(self) -> None:
        self._folder = None

    def _reach(self) -> None:
        if not self._root.is_dir():
            raise SinkUnavailable("the folder is not there")


def _lines(delivery: Delivery) -> Iterator[Mapping[str, Any]]:
    match delivery:
        case Upserts():
            for row in delivery.records.to_pylist():
                yield {"row": row}
        case Erasures() if delivery.view.keeping is Keeping.STATE:
            for key in delivery.keys:
                yield {"erased": key}
        case Erasures():
            pass  # a history stays what it was
        case _:
            raise ConfigurationError("a file that was handed over is not written anew")


def _put(folder: Path, token: str, lines: list[Mapping[str, Any]]) -> None:
    """Write one file, whole, under the next number; nothing if the last one is this."""
    half = folder / f".{token}.half"
    said = [{"token": token}, *lines]
    text = "".join(json.dumps(line, default=_said) + "\n" for line in said)
    try:
        folder.mkdir(exist_ok=True)
        numbers = sorted(int(path.stem) for path in folder.glob("*.jsonl"))
        if numbers and read(folder / _name(numbers[-1]))[0] == {"token": token}:
            return
        with half.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        number = numbers[-1] + 1 if numbers else 1
        while True:
            try:
                os.link(half, folder / _name(number))
            except FileExistsError:
                number += 1
            else:
                return
    except OSError as error:
        raise SinkUnavailable("the folder takes no file now") from error
    finally:
        half.unlink(missing_ok=True)


def read(file: Path) -> list[dict[str, Any]]:
    """What a file says, line by line."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def _name(number: int) -> str:
    return f"{number:09d}.jsonl"


def _said(value: object) -> str:
    """Days and times, which JSON has not."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError
