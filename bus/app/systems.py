"""Make the connectors and feeds of receiving systems from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import cast

import structlog
from pydantic import Field, SecretStr

from bus.app import roster
from bus.catalog import Catalog
from bus.catalog.decoding import BatchReader
from bus.connect import BusKept, Sink, insist_on_fit, why_unfit
from bus.errors import (
    BusError,
    ConfigurationError,
    FieldWithheld,
    NotEntitled,
    PolicyError,
)
from bus.hosting.feeds import Feed
from bus.ledger import SCHEMA, TABLE_PREFIX
from bus.ledger.feed import LedgerFeed
from bus.ledger.keeper import LedgerKeeper
from bus.model import Fault, MaskKey, View
from bus.policy import LEDGER, Subscription, compile_view, feed_policy, last_day, ledger_view
from bus.settings import Settings, SystemConnection
from connectors import SINKS


class Hosted(SystemConnection):
    """The connection of a system, and the database where the bus keeps what its store does not."""

    kept_in: SecretStr | None = Field(default=None, repr=False)


def store(system: str, connection: SystemConnection) -> Callable[[], Sink]:
    """A maker of sinks that lanes can deliver to; the bus keeps positions where the store does not.

    Raises:
        ConfigurationError: As :func:`sink`; or there is nowhere to keep it.
    """
    make = sink(connection)
    if make().capabilities.transactional is not None:
        return make
    kept_in = connection.kept_in if isinstance(connection, Hosted) else None
    if kept_in is None:
        raise ConfigurationError(
            "this connector keeps no positions, and the bus has no database to keep them in: set"
            " RENKEI_DATABASE",
            system=system,
            connector=connection.connector,
        )
    uri = kept_in.get_secret_value()
    return lambda: BusKept(make(), system, LedgerKeeper(uri))


def sink(connection: SystemConnection) -> Callable[[], Sink]:
    """A maker of sinks of this connection; the connector is imported and its options checked.

    Raises:
        ConfigurationError: There is no such connector, a driver is missing, or options are wrong.
    """
    name = connection.connector
    made = roster.connector(SINKS, name)
    options = roster.options(made, name, connection.options)
    return lambda: cast("Sink", made(options))


def connections(settings: Settings, systems: Sequence[str] = ()) -> dict[str, Hosted]:
    """The connections of these systems; none named: of all of the settings, and the ledger.

    Raises:
        ConfigurationError: A named system is not in the settings, or there is none at all.
    """
    known = dict(settings.systems)
    if settings.database is not None:
        known[LEDGER] = SystemConnection(
            options={
                "uri": settings.database.get_secret_value(),
                "schema_name": SCHEMA,
                "table_prefix": TABLE_PREFIX,
            }
        )
    for system in systems:
        if system not in known:
            raise ConfigurationError("no such system in RENKEI_SYSTEMS", system=system)
    if not known:
        raise ConfigurationError("set RENKEI_SYSTEMS: receiving system -> its connector")
    return {
        system: Hosted(
            connector=known[system].connector,
            options=known[system].options,
            kept_in=settings.database,
        )
        for system in systems or sorted(known)
    }


def feeds(
    system: str,
    connection: SystemConnection,
    catalog: Catalog,
    subscriptions: Mapping[str, Subscription],
    readers: Mapping[str, BatchReader],
    today: date,
    refused: Callable[[BusError, str, str | None], None] | None = None,
    keys: Mapping[str, MaskKey] = MappingProxyType({}),
) -> list[Feed]:
    """The feeds of one system: a view of each stream that its subscription grants today.

    Args:
        refused: Told of each stream that is granted and of which no view can be made: out of
            force, an item that may not go out, a mask without its key, a location that its
            connector could not take back.
        keys: System -> its own key for masks that hash.

    Raises:
        NotEntitled: There is no subscription of this system, or it grants nothing.
        BusError: Of nothing that is granted a view can be made.
        ConfigurationError: Its connection cannot be used.
    """
    make = store(system, connection)
    capabilities = make().capabilities

    def feed(view: View, last_day: date | None) -> Feed:
        topic = catalog.stream(view.stream).topic
        return Feed(view, topic, readers[view.stream], make, last_day)

    if not feed_policy(system).by_subscription:
        published = [s.name for s in catalog.streams.values() if not s.is_internal]
        make = LedgerFeed(make, connection.options["uri"], published).sink
        return [feed(ledger_view(stream), None) for stream in catalog.streams.values()]
    if system not in subscriptions:
        raise NotEntitled("there is no subscription of this system", system=system)
    found: list[Feed] = []
    refusals: list[BusError] = []
    for name in subscriptions[system].streams:
        try:
            view = compile_view(subscriptions[system], catalog.stream(name), today, keys)
            insist_on_fit(view, capabilities)
        except (PolicyError, ConfigurationError) as error:
            (refused or refuse)(error, system, name)
            refusals.append(error)
            continue
        found.append(feed(view, last_day(subscriptions[system], catalog.stream(name))))
    if refusals and not found:
        raise refusals[0]
    if not found:
        raise NotEntitled("the subscription of this system grants nothing", system=system)
    return found


def declared(connection: SystemConnection) -> Mapping[str, bool]:
    """The capabilities that the connector of a system declares.

    Raises:
        ConfigurationError: As :func:`sink`.
    """
    return sink(connection)().capabilities.kept


def unfit(
    systems: Mapping[str, SystemConnection],
    subscriptions: Mapping[str, Subscription],
    catalog: Catalog,
    today: date,
) -> list[Fault]:
    """The grants of *systems* that their connectors could not take back, for a check.

    Of a connection that cannot be used nothing is said here: what is hosted says it.
    """
    found = []
    for system in sorted(systems.keys() & subscriptions.keys()):
        connector = systems[system].connector
        try:
            capabilities = sink(systems[system])().capabilities
        except ConfigurationError:
            continue
        for name in subscriptions[system].streams:
            try:
                view = compile_view(subscriptions[system], catalog.stream(name), today)
            except (PolicyError, ConfigurationError):
                continue  # a fault of its own, or one that no connector has to do with
            try:
                insist_on_fit(view, capabilities)
            except FieldWithheld:
                expected = why_unfit(connector, capabilities)
                field = f"{system}: streams.{name}"
                found.append(
                    Fault(code="connector-cannot-withhold", expected=expected, field=field)
                )
    return found


def refuse(error: BusError, system: str, stream: str | None = None) -> None:
    """Log what is not delivered, and where to mend it; everything else is delivered."""
    found = {
        "stream": stream,
        "file": error.where.get("file"),
        "line": error.where.get("line"),
        "kind": error.where.get("fault"),
        "name": error.where.get("field"),
    }
    where = {name: value for name, value in found.items() if value is not None}
    structlog.get_logger("renkei.deliver").error(
        "not-delivered", code=error.code, reason=error.message, system=system, **where
    )
