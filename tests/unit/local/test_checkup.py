"""``renkei doctor``: each thing that can be wrong is found, with what mends it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from bus.local import artifacts, checkup
from bus.local.checkup import CheckContext, CheckResult, Verdict
from bus.local.ports import choose
from bus.local.stack import LocalStack
from bus.settings import OutboxConnection, Settings, SystemConnection
from tests.support.keys import key


@pytest.fixture
def stack(tmp_path: Path) -> LocalStack:
    """A data folder in which nothing was ever started."""
    return LocalStack(tmp_path / "home", environment={})


def only(findings: Iterator[CheckResult]) -> CheckResult:
    """The one finding."""
    (finding,) = findings
    return finding


def test_looking_changes_nothing(stack: LocalStack, tmp_path: Path) -> None:
    """Not even a folder is made."""
    findings = checkup.examine(stack, CheckContext(None))

    assert not stack.folder.home.exists()
    assert len({finding.name for finding in findings}) == len(findings) == 17
    assert all(each.mend for each in findings if each.verdict is Verdict.FAIL)


def test_engines_that_were_never_fetched_are_a_warning(stack: LocalStack) -> None:
    """They come by themselves; the command fetches them beforehand."""
    finding = only(checkup.engine_files(stack))

    assert (finding.verdict, finding.mend) == (Verdict.WARN, "renkei local fetch")


def test_an_engine_file_that_was_changed_is_named(stack: LocalStack) -> None:
    """Of the right size, even."""
    smallest = min(artifacts.read(), key=lambda each: each.size_bytes)
    place = stack.folder.engines / "maven" / smallest.path
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x" * smallest.size_bytes)

    finding = only(checkup.engine_files(stack))

    assert finding.verdict is Verdict.FAIL
    assert smallest.file in finding.says


def test_a_package_other_than_the_locked_one_is_named(tmp_path: Path) -> None:
    """Someone ran pip by hand."""
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "pyarrow==0.1 \\\n    --hash=sha256:00\nabsent==1.0 ; sys_platform == 'win32' \\\n",
        encoding="utf-8",
    )

    finding = only(checkup.packages(lock))

    assert finding.verdict is Verdict.WARN
    assert "pyarrow is" in finding.says
    assert "absent" not in finding.says
    assert finding.mend == "make clean setup"


def test_a_taken_port_is_named_with_its_option(stack: LocalStack) -> None:
    """The ports of a data folder are kept, so somebody may take one meanwhile."""
    stack.folder.make()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        choose(stack.folder, {"kafka": taken.getsockname()[1]})

        finding = only(checkup.engine_ports(stack, stack.status()))

    assert finding.verdict is Verdict.FAIL
    assert finding.mend == "renkei local up --kafka-port PORT"


def test_a_secret_that_others_may_read_is_named(stack: LocalStack) -> None:
    """With the command that closes it."""
    stack.folder.make()
    stack.folder.ensure_password()
    assert only(checkup.permissions(stack)).verdict is Verdict.OK

    stack.folder.password.chmod(0o640)

    finding = only(checkup.permissions(stack))
    assert finding.verdict is Verdict.FAIL
    assert finding.mend == f"chmod 600 {stack.folder.password}"


def test_half_a_way_into_kafka_is_said_whole() -> None:
    """Each setting that is missing, before anything is connected to."""
    finding = only(checkup.kafka(Settings(kafka="kafka.example:9093", kafka_security="SASL_SSL")))

    assert finding.verdict is Verdict.FAIL
    for name in ("CA", "USER", "PASSWORD"):
        assert f"RENKEI_KAFKA_{name}: missing" in finding.says
    assert finding.mend == "renkei settings show"


def test_half_a_way_into_the_registry_is_said() -> None:
    """As for Kafka; the login in a URL is not repeated."""
    url = "http://renkei:tr0ub4dor@registry.example/apis"
    finding = only(checkup.registry(Settings(registry=url)))

    assert finding.verdict is Verdict.FAIL
    assert "RENKEI_REGISTRY: in-the-clear" in finding.says
    assert "tr0ub4dor" not in finding.says


def test_a_broker_that_is_away_is_a_failure() -> None:
    """It may come; nothing here is wrong."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        finding = only(checkup.kafka(Settings(kafka=f"127.0.0.1:{taken.getsockname()[1]}")))

    assert finding.verdict is Verdict.FAIL
    assert "RK-401" in finding.says


def test_a_clock_that_went_back_an_hour_is_seen(stack: LocalStack) -> None:
    """What was written before was written later than now."""
    stack.folder.make()
    file = stack.folder.log("kafka")
    file.touch()
    now = datetime.now(UTC)
    os.utime(file, (now.timestamp(),) * 2)  # by this clock, which may not be the one that stamps
    assert only(checkup.clock(stack, CheckContext(None, now=now))).verdict is Verdict.OK

    os.utime(file, ((now + timedelta(hours=1)).timestamp(),) * 2)

    finding = only(checkup.clock(stack, CheckContext(None, now=now)))
    assert finding.verdict is Verdict.FAIL
    assert "-3600 s" in finding.says


def test_old_files_are_no_reason_to_doubt_the_clock(stack: LocalStack) -> None:
    """A stack that was last up a week ago."""
    stack.folder.make()
    stack.folder.log("kafka").touch()
    later = datetime.now(UTC) + timedelta(days=7)

    assert only(checkup.clock(stack, CheckContext(None, now=later))).verdict is Verdict.OK


def test_running_engines_are_not_missed_when_down(stack: LocalStack) -> None:
    """Nothing runs here, and that is fine."""
    finding = only(checkup.processes(stack, stack.status()))

    assert finding.verdict is Verdict.OK
    assert "down" in finding.says


@pytest.mark.service
def test_a_clock_an_hour_off_a_database_is_seen(stack: LocalStack, database: str) -> None:
    """A database on another machine tells another time."""
    settings = Settings(database=SecretStr(database))
    late = CheckContext(None, settings=settings, now=datetime.now(UTC) + timedelta(hours=1))

    finding = only(checkup.clock(stack, late))

    assert finding.verdict is Verdict.FAIL
    assert "against the database" in finding.says
    right = CheckContext(None, settings=settings)
    assert only(checkup.clock(stack, right)).verdict is Verdict.OK


def test_keys_are_looked_at_and_not_shown(tmp_path: Path) -> None:
    """How many, and which of them seals; what is wrong with them otherwise."""
    path = tmp_path / "keys"
    settings = Settings(seal_keys_file=path)
    assert only(checkup.keys(Settings())).verdict is Verdict.OK
    assert only(checkup.keys(settings)).verdict is Verdict.FAIL

    path.write_text(f"{key('k1').line}\n{key('k2').line}\n", encoding="ascii")
    path.chmod(0o640)
    assert "readable-by-others" in only(checkup.keys(settings)).says
    path.chmod(0o600)
    assert only(checkup.keys(settings)).says == "2, sealing: k2"

    silent = only(checkup.keys(Settings(seal_keys_command=SecretStr("/usr/bin/false"))))
    assert (silent.verdict, silent.says.startswith("[RK-407]")) == (Verdict.WARN, True)
    twice = only(
        checkup.keys(Settings(seal_keys_file=path, seal_keys_command=SecretStr("/usr/bin/false")))
    )
    assert twice.verdict is Verdict.FAIL


def test_an_outbox_whose_numbers_cannot_be_sealed() -> None:
    """Its changes with a number wait, and somebody should know before they look."""
    register = OutboxConnection(uri=SecretStr("postgresql://u:p@localhost/d"))

    found = only(checkup.keys(Settings(outboxes={"resident_registry": register})))
    other = only(checkup.keys(Settings(outboxes={"individual_resident_tax": register})))

    assert found.verdict is Verdict.WARN
    assert "wait in the outbox of resident_registry" in found.says
    assert (other.verdict, other.says) == (Verdict.OK, "none are named")


def test_a_database_that_is_away_is_a_failure() -> None:
    """Named by whose it is, and never by what its address says."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"postgresql://tax:tr0ub4dor@127.0.0.1:{taken.getsockname()[1]}/tax"
        finding = only(
            checkup.databases(
                Settings(
                    database=SecretStr(uri),
                    systems={"tax": SystemConnection(options={"uri": uri})},
                    outboxes={"resident_registry": OutboxConnection(uri=SecretStr(uri))},
                )
            )
        )

    assert finding.verdict is Verdict.FAIL
    assert finding.says.startswith("3 of 3 do not answer: resident_registry's outbox, tax, the")
    assert "tr0ub4dor" not in finding.says


def test_how_every_line_is_protected_is_said_in_one_place() -> None:
    """Kafka, the registry and each database; of a login nothing is shown."""
    settings = Settings(
        kafka="127.0.0.1:9092",
        registry="https://registry.example/apis",
        database=SecretStr("postgresql://u:tr0ub4dor@db.example/ledger?sslmode=verify-full"),
        systems={"tax": SystemConnection(options={"uri": "postgresql://u:tr0ub4dor@10.0.0.5/d"})},
        outboxes={"register": OutboxConnection(uri=SecretStr("postgresql://u:p@localhost/d"))},
    )

    found = only(checkup.lines(settings))
    here = only(checkup.lines(settings.model_copy(update={"systems": {}})))

    assert found.verdict is Verdict.FAIL
    assert found.says == (
        "this machine: kafka, register's outbox; verified TLS: registry, the ledger; "
        "without verified TLS: tax"
    )
    assert found.mend == "docs/howto/secure-the-connections.md"
    assert here.verdict is Verdict.OK


def test_a_database_without_verified_tls_is_not_asked() -> None:
    """The login would go to whoever answers."""
    elsewhere = SystemConnection(options={"uri": "postgresql://u:tr0ub4dor@192.0.2.1/d"})

    found = only(checkup.databases(Settings(systems={"tax": elsewhere})))

    assert found.verdict is Verdict.FAIL
    assert "tax (not asked: without verified TLS)" in found.says
