"""Kafka over TLS: a whole round, with a login and with a certificate; and every refusal."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from bus import app
from bus.catalog.wire import Reader
from bus.credentials import kafka_security
from bus.errors import BrokerUnavailable, ConfigurationError, LoginRefused, Untrusted
from bus.ledger import ReachState
from bus.local import checkup
from bus.local.checkup import Verdict
from bus.model import Change
from bus.monitor.watch import Monitor, WatchedCluster
from bus.operate.questions import LogTimes
from bus.operate.session import Session
from bus.settings import Settings, load
from tests.support.certificates import Authority
from tests.support.changes import change, record
from tests.support.secured import USER, Secured
from tests.support.waiting import until

pytestmark = pytest.mark.service
SYSTEM = "child_allowance"
WRONG = "tr0ub4dor"


@pytest.mark.parametrize(
    ("way", "subject"), [("words", "000000000000019"), ("mutual", "000000000000027")]
)
async def test_a_change_goes_all_the_way(
    way: str, subject: str, request: pytest.FixtureRequest, database: str
) -> None:
    """Topics, publishing, delivery, receipts, ledger and monitor: every client comes in."""
    said: Mapping[str, str] = request.getfixturevalue(way)
    systems = {SYSTEM: {"connector": "postgres", "options": {"uri": database}}}
    settings = load(
        {**said, "RENKEI_DATABASE": database, "RENKEI_SYSTEMS": yaml.safe_dump(systems)}
    )
    async with app.clients.broker(settings) as broker, app.clients.registry(settings) as registry:
        await registry.push(app.configured.catalog(settings))
        await broker.create_topics(app.configured.topic_specs(settings))
        assert await broker.committed("renkei.nobody") == {}  # of a cluster that had no group yet
    async with app.publishing.publisher(settings) as publisher:
        (outcome,) = await publisher.publish(
            [Change.model_validate(change(record(subject_id=subject)))]
        )
    await app.deliveries.run_deliveries(settings, [SYSTEM], once=True)
    await app.deliveries.run_deliveries(settings, ["ledger"], once=True)

    assert outcome.is_published
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT subject_id FROM linkage.resident").fetchall()
    assert (subject,) in rows
    async with app.clients.ledger(settings) as ledger:
        granted = {SYSTEM: app.configured.granted(settings, app.configured.this_day())[SYSTEM]}
        found = await ledger.reach(outcome.change_id or "", granted)
        async with Session(settings) as session:
            reach = await LogTimes(session).with_times(found)
    assert [(one.system, one.state) for one in reach.systems] == [(SYSTEM, ReachState.APPLIED)]
    took = reach.systems[0].took  # nothing of what the clerk's system filled in, weeks ago
    assert took is not None
    assert timedelta(0) <= took < timedelta(minutes=5)
    assert await _counted_by_the_monitor(settings) >= len(rows)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
async def test_other_mechanisms(words: Mapping[str, str], mechanism: str) -> None:
    """Where a cluster knows no SCRAM-SHA-512."""
    async with app.clients.broker(load({**words, "RENKEI_KAFKA_MECHANISM": mechanism})) as broker:
        assert await broker.cluster_id()


async def test_a_login_in_the_clear_on_this_machine(
    words: Mapping[str, str], secured: Secured
) -> None:
    """Nothing leaves the machine, as behind a tunnel that begins here."""
    here = {
        **{name: text for name, text in words.items() if name != "RENKEI_KAFKA_CA"},
        "RENKEI_KAFKA": secured.in_the_clear,
        "RENKEI_KAFKA_SECURITY": "SASL_PLAINTEXT",
    }
    async with app.clients.broker(load(here)) as broker:
        assert await broker.cluster_id()


@pytest.mark.parametrize(
    ("changed", "kind", "says"),
    [
        ({"RENKEI_KAFKA_PASSWORD": WRONG}, LoginRefused, "RENKEI_KAFKA_USER"),
        ({"RENKEI_KAFKA_USER": "nobody"}, LoginRefused, "RENKEI_KAFKA_USER"),
        ({"RENKEI_KAFKA_CA": "another"}, Untrusted, "RENKEI_KAFKA_CA"),
        ({"RENKEI_KAFKA": "another name"}, Untrusted, "another host"),
        ({"RENKEI_KAFKA": "astray"}, Untrusted, "another host"),
    ],
)
async def test_a_refusal_names_its_setting(
    words: Mapping[str, str],
    secured: Secured,
    tmp_path: Path,
    changed: dict[str, str],
    kind: type[ConfigurationError],
    says: str,
) -> None:
    """Whose fault it is, and where to look; the secret is in no message."""
    values = {
        "another": str(Authority(tmp_path, "another").file),
        "another name": secured.login.replace("127.0.0.1", "localhost"),
        "astray": secured.astray,
    }
    said = {**words, **{name: values.get(text, text) for name, text in changed.items()}}
    if "RENKEI_KAFKA_PASSWORD" in said:
        del said["RENKEI_KAFKA_PASSWORD_FILE"]

    with pytest.raises(kind, match=says) as refused:
        await _enter(load(said))

    causes: list[BaseException] = []
    cause: BaseException | None = refused.value
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    assert not any(secret in str(causes) for secret in (WRONG, secured.password))


async def test_a_certificate_of_ours_that_is_not_shown_or_not_known(
    mutual: Mapping[str, str], tmp_path: Path
) -> None:
    """The broker ends the handshake; that is not a broker that is away."""
    foreign = Authority(tmp_path, "foreign").certify("stranger")
    unknown = {
        "RENKEI_KAFKA_CERTIFICATE": str(foreign.certificate),
        "RENKEI_KAFKA_KEY": str(foreign.key),
    }
    for said in (
        {name: text for name, text in mutual.items() if name not in unknown},
        {**mutual, **unknown},
    ):
        with pytest.raises(LoginRefused, match="RENKEI_KAFKA_CERTIFICATE"):
            await _enter(load(said))


async def test_a_listener_of_the_other_kind_is_never_entered(
    words: Mapping[str, str], mutual: Mapping[str, str], secured: Secured
) -> None:
    """No plain text where TLS was asked for, nor the other way round, nor a login left out."""
    bare = {"RENKEI_HOME": words["RENKEI_HOME"]}
    for said in (
        {**bare, "RENKEI_KAFKA": secured.login},
        {**bare, "RENKEI_KAFKA": secured.in_the_clear},
        {**words, "RENKEI_KAFKA": secured.plain},
        {**mutual, "RENKEI_KAFKA": secured.login},
    ):
        with pytest.raises(BrokerUnavailable):
            await _enter(load(said))
    with pytest.raises(LoginRefused, match="RENKEI_KAFKA_SECURITY"):
        await _enter(load({**words, "RENKEI_KAFKA": secured.mutual, **_certificate(mutual)}))


async def test_a_producer_and_a_consumer_say_it_too(
    words: Mapping[str, str], secured: Secured
) -> None:
    """A client that starts later, when its password holds no more, is refused by name."""
    settings = load(words)
    async with app.clients.broker(settings) as broker:
        wrong = {**words, "RENKEI_KAFKA_PASSWORD": WRONG}
        del wrong["RENKEI_KAFKA_PASSWORD_FILE"]
        broker._way_in._security = kafka_security(load(wrong))
        for client in (broker.producer(), broker.consumer()):
            with pytest.raises(LoginRefused):
                await client.start()
            await client.close()


def test_a_command_ends_with_the_reason(words: Mapping[str, str]) -> None:
    """Exit status 78, one line, no secret."""
    said = {**words, "RENKEI_KAFKA_PASSWORD": WRONG}
    del said["RENKEI_KAFKA_PASSWORD_FILE"]

    run = subprocess.run(
        [sys.executable, "-m", "bus.cli", "topics", "list"],
        env=said,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert run.returncode == 78
    assert "[RK-104]" in run.stderr
    assert "RENKEI_KAFKA_USER" in run.stderr
    assert WRONG not in run.stdout + run.stderr


def test_the_doctor_goes_in_and_says_how(
    words: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, secured: Secured
) -> None:
    """Let in, locked out, and not gone to where the network could read along."""
    monkeypatch.setattr("bus.local.checkup.ANSWER_SECONDS", 20.0)  # this machine may be busy
    (fine,) = checkup.kafka(load(words))
    (locked_out,) = checkup.kafka(load({**words, "RENKEI_KAFKA_USER": "nobody"}))
    monkeypatch.setattr("bus.credentials.stays_here", lambda bootstrap: False)
    plain = {"RENKEI_HOME": words["RENKEI_HOME"], "RENKEI_KAFKA": secured.plain}
    (readable,) = checkup.kafka(load(plain))

    assert (fine.verdict, fine.says) == (Verdict.OK, f"{secured.login} by SASL_SSL as {USER}")
    assert (locked_out.verdict, locked_out.says[:8]) == (Verdict.FAIL, "[RK-104]")
    assert readable.verdict is Verdict.FAIL
    assert "RENKEI_KAFKA_SECURITY: in-the-clear" in readable.says


async def _enter(settings: Settings) -> None:
    async with app.clients.broker(settings, patience=timedelta(seconds=10)):
        pytest.fail("it was let in")


def _certificate(mutual: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in mutual.items() if name.endswith(("_CERTIFICATE", "_KEY"))}


async def _counted_by_the_monitor(settings: Settings) -> int:
    """Rows that Faust's own clients read from the receipts."""
    streams = app.configured.catalog(settings)
    stop = asyncio.Event()
    async with app.clients.registry(settings) as known, app.clients.broker(settings) as broker:
        watched = WatchedCluster(
            broker,
            settings.need("kafka"),
            kafka_security(settings),
            streams,
            lambda stream: Reader(stream, streams, known),
            lambda: {"resident": [SYSTEM]},
        )
        monitor = Monitor(watched)
        watching = asyncio.create_task(monitor.run(stop))
        try:
            await until(lambda: monitor.report()["minutes"], 20)
        finally:
            stop.set()
            await watching
    minutes: list[dict[str, Any]] = monitor.report()["minutes"]
    return sum(minute["rows"] for minute in minutes)
