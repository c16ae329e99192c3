"""Make the sources of publishing systems from the settings.

A source is named in the settings by its kind, which is a connector of the roster, and by that
connector's own options. An entry of ``RENKEI_OUTBOXES`` is one of the kind *outbox*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from bus.app import roster
from bus.connect.source import Source, SourceStatus
from bus.connect.source_kind import SourceContext, SourceKind
from bus.errors import ConfigurationError
from bus.publish.admission import Bounds
from bus.publish.digits import is_municipality
from bus.settings import Settings, SourceConnection
from connectors import SOURCES

OUTBOX = "outbox"


def configured(settings: Settings) -> dict[str, SourceConnection]:
    """The source of every publishing system of the settings, as configured.

    Raises:
        ConfigurationError: One is named twice.
    """
    twice = sorted(settings.outboxes.keys() & settings.sources.keys())
    if twice:
        raise ConfigurationError(
            "a system's changes wait in one place: RENKEI_OUTBOXES and RENKEI_SOURCES both name it",
            system=twice[0],
        )
    return {
        **{
            system: SourceConnection(
                connector=OUTBOX,
                options={"uri": said.uri.get_secret_value()},
                sources=said.sources,
                municipalities=said.municipalities,
            )
            for system, said in settings.outboxes.items()
        },
        **settings.sources,
    }


def connections(settings: Settings, systems: Sequence[str] = ()) -> dict[str, SourceConnection]:
    """The connections of the sources of these systems; none named: of all of the settings.

    Raises:
        ConfigurationError: A named system has none in the settings, or there is none at all.
    """
    known = configured(settings)
    for system in systems:
        if system not in known:
            raise ConfigurationError(
                "no source of this system in RENKEI_OUTBOXES or RENKEI_SOURCES", system=system
            )
    if not known:
        raise ConfigurationError(
            "set RENKEI_OUTBOXES: publishing system -> URI of its database; or RENKEI_SOURCES"
        )
    return {system: known[system] for system in systems or sorted(known)}


def source(kind: str, options: Mapping[str, Any], context: SourceContext) -> Source:
    """A source of the roster; every source is made here. Nothing is opened yet.

    Raises:
        ConfigurationError: There is no such kind, a driver is missing, or options are wrong.
    """
    made = _kind(kind)
    return made.of(roster.options(made, kind, options), context)


def relayed(connection: SourceConnection, context: SourceContext) -> Source:
    """A source of the settings, for a relay.

    Raises:
        ConfigurationError: As :func:`source`; or it is of a kind that only a command runs.
    """
    if not _kind(connection.connector).by_settings:
        raise ConfigurationError(
            "a relay does not run this kind of source; a command does: renkei publish",
            system=context.system,
            connector=connection.connector,
        )
    return source(connection.connector, connection.options, context)


def _kind(name: str) -> type[SourceKind]:
    return cast("type[SourceKind]", roster.connector(SOURCES, name))


async def status(settings: Settings, system: str) -> SourceStatus | None:
    """The status of one system's source; None if it is of a kind that cannot be looked at.

    Raises:
        ConfigurationError, SourceUnavailable: It cannot be looked into.
    """
    connection = connections(settings, [system])[system]
    watched = relayed(connection, SourceContext(system=system)).capabilities.watched
    if watched is None:
        return None
    watch = watched.watch()
    try:
        return await watch.look()
    finally:
        await watch.close()


def bounds(connection: SourceConnection, system: str) -> Bounds:
    """The bounds of what may come from a system's source.

    Raises:
        ConfigurationError: A municipality is none.
    """
    said = connection.municipalities
    municipalities = None if said is None else frozenset(said)
    if not all(map(is_municipality, municipalities or ())):
        where = "RENKEI_OUTBOXES" if connection.connector == OUTBOX else "RENKEI_SOURCES"
        raise ConfigurationError(
            f"{where}: a municipality is a 全国地方公共団体コード of six digits",
            system=system,
        )
    return Bounds(frozenset(connection.sources or (system,)), municipalities)
