"""Write log lines: an event's name and identifiers, never a field value.

What may stand in a line is listed here by field name; anything else is withheld, by name. Text
is cut down to what identifiers are made of. An exception is its class, its code and where it was
raised: not its message, which may quote a value, and not its locals. Libraries' lines keep their
logger, place and wording, without the arguments; wording that is not a fixed text is withheld.
The same line again within a second is counted and not written: ``repeated`` says how often.
The same holds for defects that nothing caught (:func:`configure` takes ``sys.excepthook``).
"""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TextIO, cast

import structlog

from bus.errors import BusError, ConfigurationError

FIELDS = frozenset(
    {
        # who and where in the bus
        "system", "stream", "topic", "partition", "group", "client", "offset", "start", "end",
        "change_id", "event_id", "version", "view", "edition", "schema_id", "cluster_id",
        "holder", "wants", "task",
        # what happened, as words and codes of ours
        "code", "codes", "reason", "reaction", "kind", "kafka", "outcome", "status", "signal",
        # how much and how long
        "events", "rows", "batches", "changes", "receipts", "lanes", "failed", "parked", "waiting",
        "attempts", "count", "repeated", "partitions", "bytes", "seconds", "index", "line",
        "record",
        # where in the machine
        "host", "port", "pid", "file", "name", "engine",
        # of an error, and of a library's line
        "trace", "causes", "library", "at", "wording",
    }
)  # fmt: skip
LONGEST = 200
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_NO_IDENTIFIER = re.compile(r"[^\x20-\x7e–]+")
_OURS = ("event", "level", "timestamp", "withheld")
_AGAIN_WITHIN_S = 1.0


def configure(
    log_format: str = "json",
    *,
    to: TextIO | None = None,
    level: int = logging.INFO,
    libraries: int = logging.WARNING,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send all logs of this process, libraries' included, to *to* (by default stderr).

    May be called again.

    Args:
        log_format: ``json`` (one object a line) or ``text``.
        to: Where lines go.
        level: From which level on our own lines are written.
        libraries: From which level on libraries are heard.
        clock: Seconds, by which the same line comes again within one of them or later.

    Raises:
        ConfigurationError: There is no such format.
    """
    if log_format not in ("json", "text"):
        raise ConfigurationError("log_format is json or text")
    stream = sys.stderr if to is None else to
    render: Any = _text
    if log_format == "json":
        render = structlog.processors.JSONRenderer(ensure_ascii=False)
    once = _Once(render, clock)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_exception,
            only_identifiers,
            once,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _LossyStream(stream))),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Libraries):
            root.removeHandler(handler)
    root.addHandler(_Libraries(libraries))
    root.setLevel(libraries)
    sys.excepthook = _uncaught


class _Once:
    """Renders a line, unless the same was written less than a second ago: then it is counted.

    How often a line came again is written when the second is over: with the next like it, or before
    whatever else is written next. What is counted and never followed by another line is not told.
    """

    def __init__(self, render: Any, clock: Callable[[], float]) -> None:
        self._render = render
        self._clock = clock
        self._written: dict[str, _Line] = {}  # in the order of their times
        self._lock = threading.Lock()

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        key = repr(sorted((name, value) for name, value in event.items() if name != "timestamp"))
        with self._lock:
            now = self._clock()
            over = self._over(now)
            if (line := self._written.get(key)) is not None:
                line.repeated += 1
                said = []
            else:
                self._written[key] = _Line(now, dict(event))
                before = over.pop(key, None)
                often = {} if before is None or not before.repeated else before.often
                said = [{**event, **often}]
            again = [
                {**line.event, "timestamp": event.get("timestamp"), **line.often}
                for line in over.values()
                if line.repeated
            ]
        lines = [self._render(logger, method, dict(each)) for each in (*again, *said)]
        if not lines:
            raise structlog.DropEvent
        return "\n".join(lines)

    def _over(self, now: float) -> dict[str, _Line]:
        """The lines that were held back for a second and are due to be counted."""
        over = {}
        for key, line in list(self._written.items()):
            if now - line.at < _AGAIN_WITHIN_S:
                break
            over[key] = self._written.pop(key)
        return over


@dataclass(slots=True)
class _Line:
    at: float
    event: dict[str, Any]
    repeated: int = 0

    @property
    def often(self) -> dict[str, int]:
        return {"repeated": self.repeated}


class _LossyStream(io.TextIOBase):
    """Writes to *stream*; what it does not take (a full disk) is lost, and the work goes on.

    Raising here would stop whatever was about to tell something, a lane in the middle of a batch
    included.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def only_identifiers(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keep the known fields, as identifiers; list the names of others in ``withheld``."""
    kept: dict[str, Any] = {}
    withheld = []
    for name, value in event.items():
        if name in _OURS:
            kept[name] = value
        elif name in FIELDS:
            kept[name] = _identifier(value)
        else:
            withheld.append(name)
    if not _NAME.fullmatch(str(kept.get("event"))):
        kept["event"] = "unnamed"
        withheld.append("event")
    if withheld:
        kept["withheld"] = sorted(withheld)
    return kept


def describe(error: BaseException) -> dict[str, Any]:
    """An error without its message: class, code, identifiers, causes, and where it was raised.

    The message of a deliberate error is a fixed sentence of ours, and so is told.
    """
    said: dict[str, Any] = {"kind": type(error).__name__}
    if isinstance(error, BusError):
        named = {name: value for name, value in error.where.items() if name in FIELDS}
        said |= {**named, "code": error.code, "reason": error.message}
    said["trace"] = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__, limit=-20)
    ]
    causes = [type(cause).__name__ for cause in _causes(error)]
    return said | ({"causes": causes} if causes else {})


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or error.__context__
    for _ in range(10):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def _identifier(value: Any) -> Any:
    """A number, a flag, or a text reduced to the characters of identifiers."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_identifier(item) for item in value]
    if isinstance(value, dict):
        return {_identifier(name): _identifier(item) for name, item in value.items()}
    return _NO_IDENTIFIER.sub("…", str(value))[:LONGEST]


def _with_exception(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()[1]
    if isinstance(given, tuple):
        given = given[1]
    if isinstance(given, BaseException):
        for name, value in describe(given).items():
            event.setdefault(name, value)
    return event


def _text(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """``time level event name=value …`` for people."""
    trace = event.pop("trace", [])
    head = f"{event.pop('timestamp')} {event.pop('level'):<8} {event.pop('event')}"
    fields = " ".join(f"{name}={_plain(value)}" for name, value in event.items())
    return "\n".join([f"{head} {fields}".rstrip(), *(f"    {frame}" for frame in trace)])


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    text = str(value)
    return f'"{text}"' if " " in text else text


class _Libraries(logging.Handler):
    """Passes on what libraries log, without the values that they filled in."""

    def emit(self, record: logging.LogRecord) -> None:
        # Wording with arguments is a fixed text; without, it may have been filled in before.
        wording = str(record.msg) if record.args else None
        log = structlog.get_logger()
        log.log(
            record.levelno,
            "library",
            library=record.name,
            at=f"{record.module}.{record.funcName}:{record.lineno}",
            **({"wording": wording} if wording else {}),
            exc_info=record.exc_info[1] if record.exc_info else None,
        )


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the defect of which the process dies."""
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("defect", exc_info=error.with_traceback(trace))
