"""``docker-compose.yml`` runs what ``bus/local`` runs, in words that the engines understand.

There is no Docker where these tests run. The file is held to the Compose Specification's schema;
Kafka's part goes through the set-up of Kafka's own image, which is in Kafka's jar; names are looked
up in the engines themselves.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import psycopg
import pytest
import yaml
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from psycopg import sql

from bus import catalog, settings
from bus.broker import topics
from bus.local import artifacts, java, supervisor
from bus.local.endpoints import Endpoints
from bus.local.folder import Folder
from bus.local.kafka import Kafka
from bus.local.postgres import Postgres, programs
from tests.support.engines import named, stack

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
BROKERS = {name: service for name, service in SERVICES.items() if name.startswith("kafka")}
FOR_JAVA = {"KAFKA_HEAP_OPTS"}  # read by Kafka's start script
ONE_MACHINE = {  # where one broker for one person differs from three for a municipality
    "process.roles", "node.id", "listeners", "advertised.listeners", "controller.quorum.voters",
    "controller.listener.names", "log.dirs", "num.partitions", "offsets.topic.num.partitions",
    "offsets.topic.replication.factor", "transaction.state.log.num.partitions",
    "transaction.state.log.replication.factor", "transaction.state.log.min.isr",
    "share.coordinator.state.topic.num.partitions",
    "share.coordinator.state.topic.replication.factor",
    "share.coordinator.state.topic.min.isr", "broker.session.timeout.ms",
    "broker.heartbeat.interval.ms", "group.initial.rebalance.delay.ms",
    "log.cleaner.dedupe.buffer.size", "num.network.threads", "num.io.threads",
    "num.recovery.threads.per.data.dir",
    "log.cleaner.enable",  # on by default; said aloud there
}  # fmt: skip


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The engines' files, fetched before or now."""
    local = stack(tmp_path_factory.mktemp("home"))
    local.fetch()
    return local.folder


def kafka_jars(folder: Folder) -> list[Path]:
    pinned = artifacts.of("kafka", artifacts.read())
    return [folder.engines / "maven" / jar.path for jar in pinned]


def properties(text: str) -> dict[str, str]:
    lines = (line.strip() for line in text.splitlines())
    return dict(
        line.split("=", 1) for line in lines if line and line[0] not in "#!" and "=" in line
    )


def set_up(folder: Folder, environment: Mapping[str, str], work: Path) -> dict[str, str]:
    """What Kafka's image makes of an environment: a file of settings, and a formatted folder."""
    for name in ("default", "mounted", "final"):
        (work / name).mkdir(parents=True)
    subprocess.run(
        [
            *(str(java.java()), "-cp", os.pathsep.join(map(str, kafka_jars(folder)))),
            *("kafka.docker.KafkaDockerWrapper", "setup"),
            *("--default-configs-dir", str(work / "default")),
            *("--mounted-configs-dir", str(work / "mounted")),
            *("--final-configs-dir", str(work / "final")),
        ],
        env={**environment, "KAFKA_LOG_DIRS": str(work / "data")},
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert (work / "data" / "meta.properties").is_file()
    return properties((work / "final" / "server.properties").read_text(encoding="utf-8"))


def test_the_file_follows_the_compose_specification() -> None:
    """Every key and every value has the form that Compose asks for."""
    schema = json.loads((Path(__file__).parent / "data" / "compose-spec.json").read_text("utf-8"))

    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_images_are_the_versions_that_the_one_machine_stack_runs() -> None:
    """One version of each engine in the whole house."""
    pinned = {one.name: one.version for one in artifacts.read()}
    answer = subprocess.run(
        [programs() / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    (postgres,) = re.findall(r"\d+\.\d+", answer.stdout)

    assert {service["image"] for service in BROKERS.values()} == {
        f"apache/kafka:{pinned['kafka-server']}"
    }
    assert SERVICES["registry"]["image"] == (
        f"apicurio/apicurio-registry:{pinned['apicurio-registry-app']}"
    )
    assert SERVICES["postgres"]["image"] == f"postgres:{postgres}"
    assert re.fullmatch(r"prom/prometheus:v\d+\.\d+\.\d+", SERVICES["prometheus"]["image"])


@pytest.mark.service
@pytest.mark.parametrize("name", sorted(BROKERS))
def test_kafka_takes_the_environment_of_each_broker(
    name: str, fetched: Folder, engines: Endpoints, tmp_path: Path
) -> None:
    """The image's own set-up formats a data folder from it, and every name is one of Kafka's."""
    environment = BROKERS[name]["environment"]
    found = set_up(fetched, environment, tmp_path)

    admin = AdminClient({"bootstrap.servers": engines.kafka})
    broker = str(next(iter(admin.list_topics(timeout=10).brokers)))
    (answer,) = admin.describe_configs([ConfigResource(ResourceType.BROKER, broker)]).values()
    known = set(answer.result(timeout=10))

    assert set(found) <= known
    assert len(found) == sum(key.startswith("KAFKA_") for key in set(environment) - FOR_JAVA)


def test_the_brokers_are_one_cluster_of_three() -> None:
    """Each names itself, all name the same three voters, and nothing is said twice differently."""
    environments = [broker["environment"] for broker in BROKERS.values()]
    ids = [environment["KAFKA_NODE_ID"] for environment in environments]
    names = [broker["hostname"] for broker in BROKERS.values()]

    assert len(set(ids)) == 3
    assert environments[0]["KAFKA_CONTROLLER_QUORUM_VOTERS"] == ",".join(
        f"{number}@{name}:9093" for number, name in zip(ids, names, strict=True)
    )
    own = {"KAFKA_NODE_ID", "KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS"}
    shared = [{k: v for k, v in one.items() if k not in own} for one in environments]
    assert shared[0] == shared[1] == shared[2]
    assert len({volume for broker in BROKERS.values() for volume in broker["volumes"]}) == 3


def test_brokers_hold_topics_as_the_catalogue_wants_them() -> None:
    """What ``renkei topics apply`` makes here has three replicas, two of which acknowledge; so
    have Kafka's own topics."""
    deploy = settings.load({"RENKEI_SETTINGS": str(ROOT / "deploy" / "settings.yaml")})
    environment = next(iter(BROKERS.values()))["environment"]
    shape = topics.TopicShape(
        partitions=deploy.partitions,
        replication=deploy.replication,
        compaction_lag=deploy.compaction_lag,
        max_message_bytes=deploy.max_message_bytes,
    )
    specs = topics.specs(catalog.load().streams.values(), shape)

    assert deploy.replication == len(BROKERS) == 3
    assert specs
    for spec in specs:
        assert spec.replication == int(environment["KAFKA_DEFAULT_REPLICATION_FACTOR"])
        assert spec.config["min.insync.replicas"] == environment["KAFKA_MIN_INSYNC_REPLICAS"]
    for internal in ("OFFSETS_TOPIC", "TRANSACTION_STATE_LOG", "SHARE_COORDINATOR_STATE_TOPIC"):
        assert environment[f"KAFKA_{internal}_REPLICATION_FACTOR"] == "3"
    for internal in ("TRANSACTION_STATE_LOG", "SHARE_COORDINATOR_STATE_TOPIC"):
        assert environment[f"KAFKA_{internal}_MIN_ISR"] == "2"


def test_brokers_differ_from_the_one_machine_broker_only_on_purpose(tmp_path: Path) -> None:
    """A setting of the local broker is here too, with the same value, or on the list of
    differences; the list names nothing else."""
    local = properties(Kafka(Folder.at(tmp_path), [], 1, 2).properties())
    environment = next(iter(BROKERS.values()))["environment"]

    for name in local.keys() - ONE_MACHINE:
        assert environment["KAFKA_" + name.upper().replace(".", "_")] == local[name]
    assert local.keys() >= ONE_MACHINE


@pytest.mark.service
def test_the_registry_knows_every_name(fetched: Folder) -> None:
    """Each variable stands for a property of the registry's own file."""
    (jar,) = supervisor.program_of_registry(fetched).glob("*-runner.jar")
    with zipfile.ZipFile(jar) as content:
        known = properties(content.read("application.properties").decode("utf-8"))
    names = {re.sub(r"[^A-Z0-9]", "_", name.upper()) for name in known}

    assert set(SERVICES["registry"]["environment"]) <= names


@pytest.mark.service
def test_postgresql_takes_every_setting(engines: Endpoints, tmp_path: Path) -> None:
    """Each name is a parameter of the server, with a value in its range; those that the
    one-machine server has too are the same, but for memory."""
    _, *options = SERVICES["postgres"]["command"]
    given = dict(option.removeprefix("--").split("=", 1) for option in options)
    local = dict(Postgres(Folder.at(tmp_path), 1, "").settings())

    assert given.keys() == local.keys()
    assert {k: v for k, v in given.items() if k != "shared_buffers"} == {
        k: v for k, v in local.items() if k != "shared_buffers"
    }
    with psycopg.connect(engines.database) as connection:
        known = {row[0].lower() for row in connection.execute("SELECT name FROM pg_settings")}
    assert given.keys() <= known


@pytest.mark.service
def test_the_script_makes_the_registrys_database(
    engines: Endpoints, unique: Callable[[str], str]
) -> None:
    """Run as the image runs it, under another name than ``registry``."""
    name = unique("registry")
    text = (ROOT / "deploy" / "registry-database.sh").read_text(encoding="utf-8")
    uri = urlsplit(engines.database)
    environment = {
        "PATH": f"{programs()}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": str(uri.hostname),
        "PGPORT": str(uri.port),
        "PGPASSWORD": str(uri.password),
        "POSTGRES_USER": str(uri.username),
        "REGISTRY_PASSWORD": "it's a \\ password",
    }
    try:
        subprocess.run(
            ["/bin/sh", "-c", re.sub(r"\bregistry\b", name, text)],
            env=environment,
            check=True,
            timeout=60,
        )
        with psycopg.connect(
            named(engines.database, name), user=name, password="it's a \\ password"
        ) as connection:
            connection.execute("CREATE TABLE works (x int)")
    finally:
        with psycopg.connect(engines.database, autocommit=True) as connection:
            for statement in ("DROP DATABASE IF EXISTS {}", "DROP ROLE IF EXISTS {}"):
                connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def test_the_settings_file_names_what_the_stack_publishes() -> None:
    """Whoever follows the comment at the file's head reaches the engines."""
    deploy = settings.load(
        {
            "RENKEI_SETTINGS": str(ROOT / "deploy" / "settings.yaml"),
            "RENKEI_DATABASE": "postgresql://renkei:x@127.0.0.1:5432/renkei",
        }
    )
    advertised = [
        re.findall(r"HOST://([0-9.:]+)", broker["environment"]["KAFKA_ADVERTISED_LISTENERS"])[0]
        for broker in BROKERS.values()
    ]
    published = [broker["ports"][0].rsplit(":", 1)[0] for broker in BROKERS.values()]

    assert deploy.kafka == ",".join(advertised) == ",".join(published)
    assert deploy.registry is not None
    assert urlsplit(deploy.registry).netloc == SERVICES["registry"]["ports"][0].rsplit(":", 1)[0]
    scrapes = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = scrapes["scrape_configs"]
    targets = [target for group in job["static_configs"] for target in group["targets"]]
    assert f"127.0.0.1:{deploy.http_port}" in targets


def test_nothing_is_published_beyond_this_machine() -> None:
    """Kafka and the registry ask nobody who they are."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_password_stands_in_the_file() -> None:
    """Each comes from the environment, and Compose refuses to start without it. Its name is not
    ``RENKEI_…``: the bus refuses such a variable that it did not ask for."""
    secrets = [
        value
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if "PASSWORD" in name
    ]

    assert len(secrets) == 3
    assert all(re.fullmatch(r"\$\{(?!RENKEI_)\w+:\?[^}]+\}", value) for value in secrets)


def test_what_is_mounted_exists() -> None:
    """A missing file would be made a folder by Docker, in silence."""
    volumes = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    ]
    files = [volume for volume in volumes if volume.startswith(".")]

    assert files
    assert all((ROOT / file).is_file() for file in files)
    assert set(volumes) - set(files) == set(COMPOSE["volumes"])
