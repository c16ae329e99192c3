"""What the composition root makes of settings and subscriptions for delivery."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretBytes, SecretStr
from structlog.testing import capture_logs

from bus import app
from bus.app.entitlements import withdrawn
from bus.app.systems import Hosted, refuse, store
from bus.connect import EVERY, Capabilities
from bus.errors import ConfigurationError, NotEntitled, SettingsRefused, SinkUnavailable
from bus.hosting.feeds import Feed
from bus.model import MaskKey, MaskKind, ProtectionChange
from bus.policy import Subscription, read_subscription
from bus.rebuild.rebuild import stages_of
from bus.settings import Settings, SystemConnection
from connectors import SINKS
from connectors.memory.sink import MemoryOptions, MemorySink
from tests.support.lanes import CATALOG, SUBSCRIPTIONS, Town

MEMORY = SystemConnection(connector="memory")
POSTGRES = SystemConnection(options={"uri": "postgresql://nobody@127.0.0.1:1/none"})
TODAY = date(2026, 11, 24)


def fed(
    system: str, subscriptions: Mapping[str, Subscription] = SUBSCRIPTIONS, today: date = TODAY
) -> list[Feed]:
    readers = {name: Town().reader(name) for name in CATALOG.streams}
    connection = POSTGRES if system == "ledger" else MEMORY
    return app.systems.feeds(system, connection, CATALOG, subscriptions, readers, today)


def test_a_system_is_fed_what_its_subscription_covers() -> None:
    """A view of each stream, in its topic, until the grant's last day."""
    grants = SUBSCRIPTIONS["child_allowance"].streams

    found = fed("child_allowance")

    assert {f.view.stream: (f.topic, f.expires_on) for f in found} == {
        name: (f"linkage.{name}", grant.expires_on) for name, grant in grants.items()
    }
    assert isinstance(found[0].sink(), MemorySink)


def test_the_ledger_is_fed_every_stream() -> None:
    """Internal ones too; no subscription is needed for identifiers."""
    assert {f.view.stream for f in fed("ledger")} == set(CATALOG.streams)


def test_without_a_subscription_nothing_is_delivered() -> None:
    """A store alone gives no right to anything."""
    with pytest.raises(NotEntitled):
        fed("unheard_of")


def test_an_expired_subscription_delivers_nothing() -> None:
    """The error has its own code; see docs/errors.md."""
    with pytest.raises(NotEntitled) as refused:
        fed("child_allowance", today=date(2126, 1, 1))

    assert refused.value.code == "RK-301"


def test_one_expired_grant_leaves_the_others() -> None:
    """What is still granted is delivered; what is not is said in the log."""
    subscription = SUBSCRIPTIONS["child_allowance"]
    first, *others = subscription.streams
    expired = subscription.streams[first].model_copy(update={"expires_on": date(2026, 11, 23)})
    changed = subscription.model_copy(update={"streams": {**subscription.streams, first: expired}})

    found = fed("child_allowance", {"child_allowance": changed})

    assert [f.view.stream for f in found] == others


@pytest.mark.parametrize(
    ("connection", "wanted"),
    [
        ({"connector": "telex"}, "no such connector"),
        ({"connector": "postgres", "options": {"uri": "x", "scheme": "y"}}, "scheme"),
        ({"connector": "postgres", "options": {}}, "uri"),
    ],
)
def test_a_connection_that_cannot_work(connection: dict[str, Any], wanted: str) -> None:
    """Refused before anything starts, by name and never by value."""
    with pytest.raises(ConfigurationError, match=wanted):
        app.systems.sink(SystemConnection.model_validate(connection))


def test_which_systems_are_hosted() -> None:
    """All of the settings and the ledger; those named; an unknown one is an error."""
    settings = Settings(systems={"child_allowance": MEMORY, "electoral_roll": MEMORY})
    with_ledger = settings.model_copy(update={"database": SecretStr("postgresql://x")})

    assert list(app.systems.connections(settings)) == ["child_allowance", "electoral_roll"]
    assert "ledger" in app.systems.connections(with_ledger)
    assert list(app.systems.connections(settings, ["electoral_roll"])) == ["electoral_roll"]
    with pytest.raises(ConfigurationError, match="no such system"):
        app.systems.connections(settings, ["telex"])
    with pytest.raises(ConfigurationError, match="RENKEI_SYSTEMS"):
        app.systems.connections(Settings())


def granting(stream: str, **changed: Any) -> dict[str, Subscription]:
    """child_allowance, with what it is granted of one stream changed."""
    subscription = SUBSCRIPTIONS["child_allowance"]
    grant = subscription.streams[stream].model_copy(update=changed)
    streams = {**subscription.streams, stream: grant}
    return {"child_allowance": subscription.model_copy(update={"streams": streams})}


def test_a_mask_without_its_key_stops_its_stream_alone() -> None:
    """Loudly, and with the item; the key makes it go."""
    hashing = granting("resident", masks={"name.full": MaskKind.KEYED_HASH})
    told: list[tuple[str, str | None, str]] = []
    readers = {name: Town().reader(name) for name in CATALOG.streams}

    def feeds(keys: Mapping[str, MaskKey]) -> set[str]:
        found = app.systems.feeds(
            "child_allowance", MEMORY, CATALOG, hashing, readers, TODAY,
            lambda error, system, stream: told.append((system, stream, error.code)), keys,
        )  # fmt: skip
        return {feed.view.stream for feed in found}

    assert "resident" not in feeds({})
    assert told == [("child_allowance", "resident", "RK-302")]
    assert "resident" in feeds({"child_allowance": MaskKey("a", SecretBytes(b"k" * 32))})
    assert "resident" not in feeds({"other": MaskKey("a", SecretBytes(b"k" * 32))})


def test_without_protection_in_force_no_location_is_withheld_blindly() -> None:
    """A grant of protection that has ended ends what hangs on it."""
    ended = granting("protection", expires_on=date(2026, 11, 23))

    assert "resident" not in {feed.view.stream for feed in fed("child_allowance", ended)}


def test_a_location_lasts_as_long_as_protection_does() -> None:
    """The earlier day is the last."""
    sooner = granting("protection", expires_on=date(2026, 12, 31))

    days = {feed.view.stream: feed.expires_on for feed in fed("child_allowance", sooner)}

    assert days["resident"] == date(2026, 12, 31)
    assert days["household"] == SUBSCRIPTIONS["child_allowance"].streams["household"].expires_on


def test_a_subscription_to_nothing_delivers_nothing() -> None:
    """It says so, as one that is not there."""
    nothing = SUBSCRIPTIONS["child_allowance"].model_copy(update={"streams": {}})

    with pytest.raises(NotEntitled):
        fed("child_allowance", {"child_allowance": nothing})


def test_what_is_refused_is_said_with_its_place() -> None:
    """In the log: the system, the stream, the file and the line, and no value."""
    text = (CATALOG.folder / "subscriptions" / "child_allowance.yaml").read_text(encoding="utf-8")
    spoilt = text.replace("name.full", "SECRET.full", 1).encode()
    (refusal,) = read_subscription("child_allowance", spoilt, CATALOG, today=TODAY).refusals

    with capture_logs() as said:
        refuse(refusal.error, refusal.system, refusal.stream)

    (line,) = said
    assert (line["event"], line["code"], line["kind"]) == ("not-delivered", "RK-101", "form")
    assert (line["system"], line["stream"]) == ("child_allowance", "resident")
    assert line["file"] == "subscriptions/child_allowance.yaml"
    assert "SECRET" in text.replace("name.full", "SECRET.full").splitlines()[line["line"] - 1]
    assert "SECRET" not in str(line)


KEY = b64encode(b"k" * 32).decode()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (f"a: {{id: '1', key: {KEY}}}", None),
        (f"a: {{id: 1, key: {KEY}}}", "unusable"),
        (f"a: {{id: '1', key: {KEY[:20]}}}", "unusable"),
        (f"a: {{id: '1', key: {KEY}, more: x}}", "unusable"),
        ("a: {id: '1', key: 'no base64!'}", "unusable"),
        (f"a: {{id: '1', key: {KEY}}}\nb: {{id: '2', key: {KEY}}}", "twice"),
        ("- a", "unusable"),
        ("a: [", "unusable"),
    ],
)
def test_the_file_of_mask_keys(tmp_path: Path, content: str, code: str | None) -> None:
    """A key per system, long enough, never shared; what is wrong is told without the key."""
    file = tmp_path / "keys.yaml"
    file.write_text(content, encoding="utf-8")
    file.chmod(0o600)
    settings = Settings(mask_keys=file)

    if code is None:
        assert app.masking.mask_keys(settings)["a"].secret.get_secret_value() == b"k" * 32
        return
    with pytest.raises(SettingsRefused) as refused:
        app.masking.mask_keys(settings)
    assert [fault.code for fault in refused.value.faults] == [code]
    assert KEY not in str(refused.value) + "".join(map(str, refused.value.faults))


def test_keys_that_others_may_read_are_refused(tmp_path: Path) -> None:
    """As every other secret in a file."""
    file = tmp_path / "keys.yaml"
    file.write_text(f"a: {{id: '1', key: {KEY}}}", encoding="utf-8")
    file.chmod(0o640)

    with pytest.raises(SettingsRefused) as refused:
        app.masking.mask_keys(Settings(mask_keys=file))
    assert [fault.code for fault in refused.value.faults] == ["readable-by-others"]
    assert app.masking.mask_keys(Settings()) == {}


class TestAConnectorThatCannotTakeALocationBack:
    """It is refused what it could not let go of, and given the rest."""

    FOLDER = Hosted(connector="folder", options={"path": "/nowhere"}, kept_in=SecretStr("x"))

    @pytest.fixture(autouse=True)
    def roster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(SINKS, "folder", "tests.support.stores.folder:FolderSink")
        monkeypatch.setitem(SINKS, "receiver", "tests.support.stores.receiver:ReceiverSink")

    def fed(
        self, connection: SystemConnection, told: list[tuple[str, str | None, str]]
    ) -> set[str]:
        readers = {name: Town().reader(name) for name in CATALOG.streams}

        def refused(error: Any, system: str, stream: str | None) -> None:
            told.append((system, stream, error.code))

        name = "child_allowance"
        found = app.systems.feeds(name, connection, CATALOG, SUBSCRIPTIONS, readers, TODAY, refused)
        return {feed.view.stream for feed in found}

    def test_a_folder_is_refused_each_stream_with_a_location(self) -> None:
        """Aloud: it stands among what is not delivered."""
        told: list[tuple[str, str | None, str]] = []
        found = self.fed(self.FOLDER, told)

        everything = set(SUBSCRIPTIONS["child_allowance"].streams)
        refused = {stream for _, stream, code in told if code == "RK-302"}
        assert refused | found == everything
        assert refused & found == set()
        assert "resident" in refused
        assert "protection" in found

    def test_who_takes_rows_once_more_is_refused_nothing(self) -> None:
        """It can be told that somebody is protected."""
        told: list[tuple[str, str | None, str]] = []
        receiver = Hosted(connector="receiver", options={"port": 1}, kept_in=SecretStr("x"))
        assert self.fed(receiver, told) == set(SUBSCRIPTIONS["child_allowance"].streams)
        assert told == []

    def test_without_a_database_there_is_nowhere_to_keep_its_positions(self) -> None:
        """Said at the start, and what to set."""
        bare = SystemConnection(connector="receiver", options={"port": 1})
        with pytest.raises(ConfigurationError, match="RENKEI_DATABASE"):
            self.fed(bare, [])

    def test_it_is_not_rebuilt(self) -> None:
        """It is no table that could be filled beside itself: refused, with the reason."""
        receiver = Hosted(connector="receiver", options={"port": 1}, kept_in=SecretStr("x"))
        made = store("child_allowance", receiver)()
        with pytest.raises(ConfigurationError, match="beside the one in use"):
            stages_of(made)

    def test_the_check_of_the_files_says_so(self) -> None:
        """With the system, the stream and the connector; of the others nothing."""
        systems = {"child_allowance": self.FOLDER, "electoral_roll": MEMORY}
        faults = app.systems.unfit(systems, SUBSCRIPTIONS, CATALOG, TODAY)

        assert {fault.code for fault in faults} == {"connector-cannot-withhold"}
        assert "child_allowance: streams.resident" in {fault.field for fault in faults}
        assert all("folder does neither" in fault.expected for fault in faults)
        assert app.systems.unfit({"electoral_roll": MEMORY}, SUBSCRIPTIONS, CATALOG, TODAY) == []

    def test_who_keeps_positions_and_does_not_suppress_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Though it takes rows once more: the bus masks anew only where it keeps positions."""
        monkeypatch.setitem(SINKS, "half", f"{__name__}:KeepsPositions")
        systems = {"child_allowance": SystemConnection(connector="half", options={})}
        faults = app.systems.unfit(systems, SUBSCRIPTIONS, CATALOG, TODAY)

        assert "child_allowance: streams.resident" in {fault.field for fault in faults}
        assert all("half keeps its positions itself" in fault.expected for fault in faults)


class KeepsPositions(MemorySink):
    """A store that is transactional, takes rewrites, and takes no locations out."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(accepts=EVERY - {ProtectionChange}, transactional=self)


async def test_what_is_withdrawn_by_is_closed() -> None:
    """It is a sink of its own: nobody else would, whether it worked or not."""
    closed: list[bool] = []

    class Reshaping(MemorySink):
        async def withdraw(self, granted: Any, edition: int) -> Any:
            if edition:
                raise SinkUnavailable("away")
            return ["resident"]

        async def close(self) -> None:
            closed.append(True)

    assert await withdrawn(Reshaping(MemoryOptions()), (), 0) == ["resident"]
    with pytest.raises(SinkUnavailable):
        await withdrawn(Reshaping(MemoryOptions()), (), 1)
    assert closed == [True, True]
