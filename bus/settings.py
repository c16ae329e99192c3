"""Every setting of Renkei, typed; read once at start by ``bus.app`` and passed down.

Values come from ``RENKEI_…`` variables over the file named by ``RENKEI_SETTINGS`` (YAML), or, if
none is named, what the one-machine stack wrote into ``<home>/run``, over the defaults here. A
``RENKEI_…`` variable that nobody asked for is an error, not a shrug. A default is either safe in
production or absent: then ``renkei local up`` supplies it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from bus.backoff import BackOff
from bus.errors import ConfigurationError, SettingsRefused
from bus.files import objection
from bus.hosts import MOST_PORTS, is_server
from bus.model import Fault
from bus.model.number import LONGEST
from bus.model.protection import LOOKED_BACK
from bus.yamltext import MOST_BYTES, load_yaml, what_is_wrong

PREFIX = "RENKEI_"
LEAST_LAG = LOOKED_BACK + timedelta(days=1)
SECRETS = {
    "database",
    "kafka_password",
    "outboxes",
    "receipt_keys_command",
    "registry_password",
    "seal_keys_command",
    "sources",
    "systems",
}
"""Settings that hold a secret, or may; so does an address with a login in it. A file that has one
is for its owner's eyes."""
IN_YAML = {"intake", "outboxes", "sources", "systems"}
"""Settings that are no plain text in a variable either."""
FOR_TESTS = {"RENKEI_KILL_AT", "RENKEI_TEST_ENGINES"}  # read elsewhere, never settings


def _servers(text: str) -> str:
    """``host:port,…`` without blanks."""
    servers = [server.strip() for server in text.split(",")]
    if not all(is_server(server) for server in servers):
        raise ValueError(f"host:port, several with commas between, ports of 1 to {MOST_PORTS}")
    return ",".join(servers)


def _web_address(text: str) -> str:
    """An address of http or https, with a host."""
    try:
        url = urlsplit(text)
        is_one = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is none, a bracket that is not closed
        is_one = False
    if not is_one or any(sign.isspace() for sign in text):
        raise ValueError("http://host:port/path or https://…")
    return text


def _positive(span: timedelta) -> timedelta:
    if span <= timedelta():
        raise ValueError("a length of time above zero, such as PT10S or P7D")
    return span


def _as_long_as_moves(span: timedelta) -> timedelta:
    if span < LEAST_LAG:
        raise ValueError(
            f"P{LEAST_LAG.days}D or more: for so long what a household said before may say who"
            " moved out with somebody under protection"
        )
    return span


def _not_negative(span: timedelta) -> timedelta:
    if span < timedelta():
        raise ValueError("a length of time, such as PT0.2S or PT10S, not below zero")
    return span


Servers = Annotated[str, AfterValidator(_servers)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Span = Annotated[timedelta, AfterValidator(_positive)]
Lag = Annotated[timedelta, AfterValidator(_positive), AfterValidator(_as_long_as_moves)]
Session = Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(minutes=30))]
Wait = Annotated[timedelta, AfterValidator(_not_negative)]
Port = Annotated[int, Field(ge=1, le=MOST_PORTS)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]


class SystemConnection(BaseModel):
    """The connection of one receiving system: a connector of the roster, and its options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connector: str = "postgres"
    options: dict[str, Any] = Field(default_factory=dict, repr=False)


class OutboxConnection(BaseModel):
    """The database of a publishing system's outbox, and the bounds of what may come from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: SecretStr
    """Of the database that holds the outbox."""
    sources: tuple[str, ...] | None = None
    """Systems that may be the ``source`` of its changes; absent: the publishing system alone."""
    municipalities: tuple[str, ...] | None = None
    """Municipalities whose changes it may hold, by code; absent: any."""

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, value: Any) -> Any:
        """Accept a URI alone in place of the object."""
        return {"uri": value} if isinstance(value, str) else value


class SourceConnection(BaseModel):
    """Where a publishing system's changes wait: a connector of the roster, its options, and what
    may come from there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connector: str
    options: dict[str, Any] = Field(default_factory=dict, repr=False)
    sources: tuple[str, ...] | None = None
    """Systems that may be the ``source`` of its changes; absent: the publishing system alone."""
    municipalities: tuple[str, ...] | None = None
    """Municipalities whose changes it may hold, by code; absent: any."""


def _zone_name(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("a time zone by its name, as Asia/Tokyo") from None


class Settings(BaseModel):
    """All settings. Field names are the variables' names in lower case, without the prefix."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(default_factory=lambda: default_home())  # noqa: PLW0108 - takes no data
    """Where engines, data and logs of the one-machine stack live."""
    maven: WebAddress | None = None
    """Maven repository to fetch engines from; absent: the user's mirror of central, or central."""
    schemas: Path | None = None
    """Folder of streams, codes and subscriptions; by default the one shipped."""
    kafka: Servers | None = None
    """Bootstrap servers, ``host:port,…``."""
    kafka_security: str = "PLAINTEXT"
    """Kafka's word for how its listener is entered: PLAINTEXT, SSL, SASL_SSL, SASL_PLAINTEXT."""
    kafka_ca: Path | None = None
    """PEM file of the authorities that may vouch for a broker; nobody else may."""
    kafka_certificate: Path | None = None
    """PEM file of our own certificate, where the brokers ask for one; needs ``kafka_key``."""
    kafka_key: Path | None = None
    """PEM file of its key, not encrypted, readable by its owner only."""
    kafka_mechanism: str = "SCRAM-SHA-512"
    """How to log in: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN."""
    kafka_user: str | None = None
    """Who logs in."""
    kafka_password: SecretStr | None = None
    kafka_password_file: Path | None = None
    """The password, or a file that holds it and that its owner alone may read."""
    registry: WebAddress | None = None
    """Base URL of the schema registry's Confluent-compatible API."""
    registry_ca: Path | None = None
    """PEM file of the authorities that may vouch for the registry; absent: this machine's."""
    registry_user: str | None = None
    """Who logs in at the registry."""
    registry_password: SecretStr | None = None
    registry_password_file: Path | None = None
    """The password, or a file that holds it and that its owner alone may read."""
    database: SecretStr | None = None
    """URI of the bus's own PostgreSQL database (ledger)."""
    outboxes: dict[str, OutboxConnection] = Field(default_factory=dict)
    """System -> URI of the database that holds its outbox; or uri, sources and municipalities."""
    sources: dict[str, SourceConnection] = Field(default_factory=dict)
    """System -> where else its changes wait: connector, options, sources and municipalities."""
    intake: tuple[str, ...] = ()
    """Publishing systems that may hand changes in as well; who has another list than a living
    process that publishes does not publish."""
    systems: dict[str, SystemConnection] = Field(default_factory=dict)
    """Receiving systems and how their stores are reached."""

    replication: Annotated[int, Field(ge=1, le=32_767)] = 1
    """Replicas of each topic; three in production."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Partitions of each stream's topic. Fixed once made: order per subject hangs on it."""
    max_message_bytes: Annotated[int, Field(ge=1_024, le=2**31 - 1)] = 1_000_000
    """The broker's limit for one event."""
    change_bytes: Annotated[int, Field(ge=1_000, le=256 * 1024 * 1024)] = 4 * 1024 * 1024
    """The most bytes that a change in an outbox has as text; ``relay install`` sets it there."""
    compaction_lag: Lag = timedelta(days=30)
    """How long every event stays readable before compaction may take older ones; 29 days or more,
    for whoever moves out with somebody under protection."""

    parked_alarm: Span | None = None
    """When what is set aside has been so for too long; absent: two thirds of the compaction lag."""

    fetch_records: Count = 10_000
    """Most events in one batch of a lane: bounds memory and the work lost in a crash."""
    fetch_bytes: Count = 8 * 1024 * 1024
    """Most bytes fetched per partition at once."""
    idle_wait: Wait = timedelta(seconds=2)
    """How long a fetch may wait for the first event; does not delay an event that comes."""
    session_timeout: Session = timedelta(seconds=6)
    """How long a process that died holds its partitions; the brokers say how short it may be
    (``group.min.session.timeout.ms``, six seconds by default)."""
    ledger_gather: Wait = timedelta(milliseconds=250)
    """How long the ledger lets receipts come together: one batch instead of hundreds a second."""
    retry_first: Wait = timedelta(milliseconds=200)
    retry_most: Wait = timedelta(seconds=10)
    """Back-off of a batch whose store is away: doubles from first to most, with jitter; cut short
    when the store, or Kafka, answers anybody."""
    unready_most: Span = timedelta(hours=1)
    """How long a database, a table or a right may be missing, as in the middle of a restore or a
    deployment, before a lane stops on it."""
    stop_within: Span = timedelta(seconds=10)
    """How long a stopping process may finish the batch in hand."""

    mask_keys: Path | None = None
    """YAML file, system -> ``id`` and ``key`` (base64, 32 bytes), for masks that hash; its owner
    alone may read it. Absent: what such a mask is on is not delivered."""
    private_use_table: str | None = None
    """Version of the site's table of private-use characters (外字); absent: they are refused."""

    number_width: int = Field(default=LONGEST, ge=2, le=LONGEST)
    """Digits of this site's 宛名番号 and 世帯番号."""
    number_padded: bool = True
    """Whether they have zeros in front up to that width; otherwise it is the most they have."""

    seal_keys_file: Path | None = None
    """File of the keys that seal 個人番号, readable by its owner only; absent: no such keys."""
    seal_keys_command: SecretStr | None = None
    """Command that prints the keys instead: the client of a key service. Run without a shell."""
    receipt_keys_file: Path | None = None
    """File of the keys that prove receipts and what was taken from the ledger, readable by its
    owner only; every process that delivers has the same."""
    receipt_keys_command: SecretStr | None = None
    """Command that prints these keys instead. Run without a shell."""
    provision_retention: Span = timedelta(days=2557)
    """How long ``renkei ledger prune`` keeps what was given to whom: seven years."""
    erasure_key_file: Path | None = None
    """File with the key by which erasures are known, for its owner only; 32 bytes or more."""

    outbox_keep: Wait = timedelta(days=7)
    """How long an outbox keeps rows that were sent."""
    refused_keep: Span | None = timedelta(days=30)
    """How long an outbox keeps refused changes; null in the file: until somebody settles them."""
    relay_lease: Span = timedelta(seconds=12)
    """How long other relays wait after a leader was killed; a send may take two thirds of it."""

    http_host: str = "127.0.0.1"
    http_port: Port | None = None
    """Where /metrics, /healthz and /readyz answer; absent: not served."""
    monitor_port: Port | None = None
    """Where the monitor answers, and where ``renkei throughput`` asks; absent: not served."""
    log_format: Literal["json", "text"] = "json"
    """``json`` or ``text``."""
    time_zone: Annotated[str, AfterValidator(_zone_name)] = "Asia/Tokyo"
    """The zone in which people are shown times; JSON, logs and days of the law do not follow it."""

    def back_off(self) -> BackOff:
        """The back-off for everything that does not answer."""
        return BackOff(self.retry_first, self.retry_most)

    def need(self, name: str) -> Any:
        """The value of a setting that this command cannot do without.

        Raises:
            ConfigurationError: It is absent; the message names the variable.
        """
        value = getattr(self, name)
        if value is None:
            raise ConfigurationError(
                f"set {PREFIX}{name.upper()}, or start the one-machine stack: renkei local up"
            )
        return value.get_secret_value() if isinstance(value, SecretStr) else value


def default_home(environment: Mapping[str, str] | None = None) -> Path:
    """The user's data folder for Renkei (XDG Base Directory Specification)."""
    environment = os.environ if environment is None else environment
    data = environment.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "renkei"


def load(environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
    """Build the settings: *overrides* over the environment over files over defaults.

    The variables of :data:`IN_YAML` are YAML text; everything else is plain text.

    Raises:
        ConfigurationError: An unknown name or an unusable value; never prints the value.
    """
    return resolve(environment, overrides)[0]


def resolve(
    environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> tuple[Settings, Mapping[str, str]]:
    """The settings as :func:`load` builds them, and where each value came from.

    Raises:
        ConfigurationError: As for :func:`load`.
    """
    given = {
        k[len(PREFIX) :].lower(): v
        for k, v in environment.items()
        if k.startswith(PREFIX) and k not in FOR_TESTS
    }
    named = given.pop("settings", None)
    home = (overrides or {}).get("home") or given.get("home") or default_home(environment)
    files = [Path(named)] if named is not None else _written_by_the_stack(Path(home))
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    for file in files:
        content = _read(file)
        values.update(content)
        origins.update(dict.fromkeys(content, str(file)))
    for name, text in given.items():
        values[name] = _yaml(name, text) if name in IN_YAML else text
        origins[name] = f"{PREFIX}{name.upper()}"
    values.setdefault("home", home)
    values.update(overrides or {})
    origins.update(dict.fromkeys(overrides or {}, "command line"))
    try:
        return Settings.model_validate(values), origins
    except ValidationError as error:
        faults = [_fault(each, origins) for each in error.errors(include_url=False)]
        raise SettingsRefused("these settings cannot be used", faults, count=len(faults)) from None


def _fault(found: ErrorDetails, origins: Mapping[str, str]) -> Fault:
    """One fault: the variable, where it was set and what was expected there."""
    name, *inside = [str(part) for part in found["loc"]]
    path = ".".join((f"{PREFIX}{name.upper()}", *inside))
    said_in = origins.get(name)
    file = said_in if said_in and not said_in.startswith(PREFIX) else None
    if found["type"] == "extra_forbidden":
        return Fault(code="unknown", field=path, file=file, expected=_known(name, inside))
    expected = found["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    code = "unusable" if found["type"] == "value_error" else found["type"].replace("_", "-")
    return Fault(code=code, field=path, file=file, expected=expected)


def _known(name: str, inside: Sequence[str]) -> str:
    """The known names that an unknown one may have meant."""
    near = [] if inside else get_close_matches(name.lower(), Settings.model_fields, 1)
    if near:
        return f"a name that there is; {PREFIX}{near[0].upper()} is near"
    return "a name that there is: renkei settings show"


def _written_by_the_stack(home: Path) -> list[Path]:
    files = (home.expanduser() / "run" / name for name in ("engines.yaml", "systems.yaml"))
    return [file for file in files if file.is_file()]


def _yaml(name: str, text: str) -> Any:
    try:
        return load_yaml(text)
    except yaml.YAMLError as error:
        variable = f"{PREFIX}{name.upper()}"
        raise ConfigurationError(
            "this setting is no YAML that can be used", setting=variable, fault=what_is_wrong(error)
        ) from None


def _read(path: Path) -> dict[str, Any]:
    shown = str(path)
    try:
        with path.open("rb") as file:
            there = os.fstat(file.fileno())
            text = file.read(MOST_BYTES + 1).decode("utf-8")
        content = load_yaml(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError("cannot read the settings file", file=shown, reason=reason) from (
            None
        )
    except yaml.YAMLError as error:
        raise ConfigurationError(
            "the settings file is no YAML that can be used", file=shown, fault=what_is_wrong(error)
        ) from None
    if content is None:
        content = {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ConfigurationError("the settings file holds no mapping", file=shown)
    secrets = {name for name, value in content.items() if name in SECRETS or "@" in str(value)}
    found = objection(there, is_secret=bool(secrets))
    if found is not None:
        code, expected = found
        names = ", ".join(sorted(secrets))
        raise ConfigurationError(
            f"the settings file is to be {expected}", file=shown, fault=code, secrets=names or None
        )
    return content
