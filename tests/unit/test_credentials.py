"""How settings become a way into Kafka: all faults at once, no guessing, no secret told."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from bus.broker.security import Login, Mechanism, Protocol, Security
from bus.credentials import kafka_security, registry_security
from bus.errors import SettingsRefused
from bus.hosts import stays_here
from bus.settings import load
from tests.support.certificates import Authority

SECRET = "tr0ub4dor"


@pytest.fixture
def said(tmp_path: Path) -> dict[str, str]:
    """Everything that a login over TLS needs."""
    return {
        "RENKEI_HOME": str(tmp_path / "home"),
        "RENKEI_KAFKA": "kafka.town.example:9093",
        "RENKEI_KAFKA_SECURITY": "SASL_SSL",
        "RENKEI_KAFKA_CA": str(Authority(tmp_path, "town").file),
        "RENKEI_KAFKA_USER": "renkei",
        "RENKEI_KAFKA_PASSWORD": SECRET,
    }


def without(said: Mapping[str, str], *names: str) -> dict[str, str]:
    """What is said, but for some of it."""
    return {name: text for name, text in said.items() if name.removeprefix("RENKEI_") not in names}


def faults(said: Mapping[str, str]) -> list[str]:
    """The refusal's report, one line each; no secret is in it."""
    with pytest.raises(SettingsRefused) as refused:
        kafka_security(load(said))
    lines = [str(fault) for fault in refused.value.faults]
    assert refused.value.where["count"] == len(lines)
    assert SECRET not in f"{refused.value}{lines}"
    return [line.removeprefix("RENKEI_KAFKA_") for line in lines]


def test_nothing_said_is_plain_text() -> None:
    """As the one-machine stack has it."""
    assert kafka_security(load({"RENKEI_HOME": "/does/not/exist"})) == Security()


def test_a_login_over_tls(said: Mapping[str, str]) -> None:
    """Hosts' names are checked, and only the named authority may vouch for them."""
    security = kafka_security(load(said))

    assert security.protocol is Protocol.SASL_SSL
    assert security.login == Login(Mechanism.SCRAM_SHA_512, "renkei", SECRET)
    assert security.context is not None
    assert security.context.check_hostname
    assert security.context.verify_mode is ssl.CERT_REQUIRED
    assert security.context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert len(security.context.get_ca_certs()) == 1
    assert SECRET not in repr(security)


def test_the_password_may_come_from_a_file(said: Mapping[str, str], tmp_path: Path) -> None:
    """The line's end is the editor's; a blank may be the password's."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text(f" {SECRET}\n", encoding="utf-8")

    security = kafka_security(
        load({**without(said, "KAFKA_PASSWORD"), "RENKEI_KAFKA_PASSWORD_FILE": str(file)})
    )

    assert security.login is not None
    assert security.login.password == f" {SECRET}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_secrets_that_others_may_read_are_refused(
    said: Mapping[str, str], tmp_path: Path, mode: int
) -> None:
    """The file of a password, and the key of a certificate."""
    mine = Authority(tmp_path, "mine").certify("client")
    password = tmp_path / "password"
    password.write_text(SECRET, encoding="utf-8")
    for file in (password, mine.key):
        file.chmod(mode)

    assert faults(
        {
            **without(said, "KAFKA_PASSWORD"),
            "RENKEI_KAFKA_PASSWORD_FILE": str(password),
            "RENKEI_KAFKA_CERTIFICATE": str(mine.certificate),
            "RENKEI_KAFKA_KEY": str(mine.key),
        }
    ) == [
        "KEY: readable-by-others: expected a file of mode 0600 or 0400",
        "PASSWORD_FILE: readable-by-others: expected a file of mode 0600 or 0400",
    ]


def test_all_that_is_missing_is_said_at_once(said: Mapping[str, str], tmp_path: Path) -> None:
    """Not one by one, start by start."""
    half = {
        **without(said, "KAFKA_CA", "KAFKA_USER", "KAFKA_PASSWORD"),
        "RENKEI_KAFKA_KEY": str(Authority(tmp_path, "mine").certify("client").key),
    }

    assert faults(half) == [
        "CA: missing: expected the file of whoever vouches for the brokers",
        "CERTIFICATE: missing: expected the certificate of the key",
        "USER: missing: expected the user who logs in",
        "PASSWORD: missing: expected this or RENKEI_KAFKA_PASSWORD_FILE",
    ]


def test_what_plain_text_would_leave_out_is_refused(said: Mapping[str, str]) -> None:
    """Whoever names a password and an authority does not want to be without them."""
    assert faults(without(said, "KAFKA_SECURITY")) == [
        "CA: unused: expected RENKEI_KAFKA_SECURITY to be SSL or SASL_SSL",
        "USER: unused: expected RENKEI_KAFKA_SECURITY to be SASL_SSL",
        "PASSWORD: unused: expected RENKEI_KAFKA_SECURITY to be SASL_SSL",
        "SECURITY: in-the-clear: expected SSL or SASL_SSL, for the brokers are not here",
    ]


def test_words_that_kafka_does_not_have_are_refused(said: Mapping[str, str]) -> None:
    """Both of them, with those that there are."""
    assert faults({**said, "RENKEI_KAFKA_SECURITY": "TLS", "RENKEI_KAFKA_MECHANISM": "GSSAPI"}) == [
        "SECURITY: unknown: expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
        "MECHANISM: unknown: expected one of SCRAM-SHA-512, SCRAM-SHA-256, PLAIN",
    ]


def test_a_password_in_the_clear_stays_on_this_machine(said: Mapping[str, str]) -> None:
    """SASL_PLAINTEXT is for loopback."""
    clear = {**without(said, "KAFKA_CA"), "RENKEI_KAFKA_SECURITY": "SASL_PLAINTEXT"}

    assert faults(clear) == [
        "SECURITY: in-the-clear: expected SASL_SSL, for the brokers are not here"
    ]
    here = kafka_security(load({**clear, "RENKEI_KAFKA": "127.0.0.1:9092, [::1]:9092"}))
    assert here.login is not None
    assert here.context is None


def test_a_password_said_twice_is_refused(said: Mapping[str, str], tmp_path: Path) -> None:
    """Which of the two would hold is anybody's guess."""
    twice = {**said, "RENKEI_KAFKA_PASSWORD_FILE": str(tmp_path / "absent")}

    assert faults(twice) == [
        "PASSWORD: unusable: expected this or RENKEI_KAFKA_PASSWORD_FILE, not both"
    ]


def test_files_that_are_something_else_are_refused(said: Mapping[str, str], tmp_path: Path) -> None:
    """No authority, a key that does not fit, an empty password."""
    authority = Authority(tmp_path, "mine")
    one, other = authority.certify("one"), authority.certify("other")
    empty, garbage = tmp_path / "empty", tmp_path / "garbage"
    empty.touch(mode=0o600)
    garbage.write_text("no certificate\n", encoding="utf-8")

    assert faults(
        {
            **without(said, "KAFKA_PASSWORD"),
            "RENKEI_KAFKA_CA": str(garbage),
            "RENKEI_KAFKA_CERTIFICATE": str(one.certificate),
            "RENKEI_KAFKA_KEY": str(other.key),
            "RENKEI_KAFKA_PASSWORD_FILE": str(empty),
        }
    ) == [
        "CA: unusable: expected a file of PEM certificates",
        "CERTIFICATE: unusable: expected a PEM certificate and its key, not encrypted",
        "PASSWORD_FILE: unusable: expected a file with a password in it, as text",
    ]


def test_an_encrypted_key_is_refused_and_not_asked_for(
    said: Mapping[str, str], tmp_path: Path
) -> None:
    """A service has no terminal to type its passphrase on."""
    mine = Authority(tmp_path, "mine").certify("client")
    key = serialization.load_pem_private_key(mine.key.read_bytes(), None)
    mine.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(SECRET.encode()),
        )
    )

    assert faults(
        {
            **said,
            "RENKEI_KAFKA_CERTIFICATE": str(mine.certificate),
            "RENKEI_KAFKA_KEY": str(mine.key),
        }
    ) == ["CERTIFICATE: unusable: expected a PEM certificate and its key, not encrypted"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"CA": "here"}, ["_CA: unused: expected RENKEI_REGISTRY to begin with https"]),
        (
            {"USER": "renkei"},
            ["_PASSWORD: missing: expected this or RENKEI_REGISTRY_PASSWORD_FILE"],
        ),
        ({"PASSWORD": SECRET}, ["_USER: missing: expected the user who logs in"]),
        (
            {"": "http://registry.example", "USER": "renkei", "PASSWORD": SECRET},
            [": in-the-clear: expected https, for it is not here"],
        ),
        (
            {"": "http://registry.example/apis/ccompat/v7"},
            [": in-the-clear: expected https, for it is not here"],
        ),
        (
            {"": f"http://renkei:{SECRET}@registry.example"},
            [": in-the-clear: expected https, for it is not here"],
        ),
        (
            {"": f"https://renkei:{SECRET}@registry.example", "USER": "u", "PASSWORD": SECRET},
            [": twice: expected a login here or in RENKEI_REGISTRY_USER, not both"],
        ),
    ],
)
def test_half_a_way_into_the_registry_is_refused(
    said: Mapping[str, str], expected: list[str], tmp_path: Path
) -> None:
    """As for Kafka."""
    values = {"here": str(Authority(tmp_path, "town").file)}
    settings = load(
        {
            "RENKEI_REGISTRY": "http://127.0.0.1:8080",
            **{f"RENKEI_REGISTRY_{n}".rstrip("_"): values.get(t, t) for n, t in said.items()},
        }
    )

    with pytest.raises(SettingsRefused) as refused:
        registry_security(settings)

    lines = [str(fault).removeprefix("RENKEI_REGISTRY") for fault in refused.value.faults]
    assert lines == expected
    assert SECRET not in f"{refused.value}{lines}"


def test_a_way_into_the_registry(tmp_path: Path) -> None:
    """By https everything; on this machine a login may go without."""
    said = {"RENKEI_REGISTRY_USER": "renkei", "RENKEI_REGISTRY_PASSWORD": SECRET}
    here = registry_security(load({**said, "RENKEI_REGISTRY": "http://127.0.0.1:8080"}))
    there = registry_security(
        load(
            {
                **said,
                "RENKEI_REGISTRY": "https://registry.example",
                "RENKEI_REGISTRY_CA": str(Authority(tmp_path, "town").file),
            }
        )
    )

    assert here.login == there.login == ("renkei", SECRET)
    assert here.context is None
    assert there.context is not None
    assert there.context.check_hostname
    assert SECRET not in repr(there)


@pytest.mark.parametrize(
    ("bootstrap", "is_here"),
    [
        ("127.0.0.1:9092", True),
        ("localhost:9092,[::1]:9092", True),
        ("127.0.0.1:9092,10.0.0.1:9092", False),
        ("localhost.example:9092", False),
        ("", False),
    ],
)
def test_what_is_this_machine(bootstrap: str, is_here: bool) -> None:
    """Every one of the servers has to be."""
    assert stays_here(bootstrap) is is_here


def test_a_security_that_does_not_fit_itself_cannot_be_made() -> None:
    """Not even by a mistake in the code."""
    login = Login(Mechanism.PLAIN, "renkei", SECRET)
    for protocol, context in (
        (Protocol.SSL, None),
        (Protocol.PLAINTEXT, ssl.create_default_context()),
    ):
        with pytest.raises(ValueError):
            Security(protocol, context)
    with pytest.raises(ValueError):
        Security(Protocol.SASL_PLAINTEXT)
    with pytest.raises(ValueError):
        Security(Protocol.PLAINTEXT, None, login)
