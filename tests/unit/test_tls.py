"""Whom TLS trusts, and how old it may be."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import truststore

from bus.tls import trusting
from tests.support.certificates import Authority


def makes_all_speak_from(oldest: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes a context finds it set so, as a machine's file of OpenSSL's may have it."""

    def made(kind: type[ssl.SSLContext]) -> ssl.SSLContext:
        context = kind(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = oldest
        return context

    plain, machines = ssl.SSLContext, truststore.SSLContext
    monkeypatch.setattr("bus.tls.ssl.create_default_context", lambda **_: made(plain))
    monkeypatch.setattr("bus.tls.truststore.SSLContext", lambda _: made(machines))


@pytest.mark.parametrize("named", [True, False])
def test_there_is_a_floor_whatever_python_runs(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's says "the oldest there is" and leaves it to a file of OpenSSL's."""

    makes_all_speak_from(ssl.TLSVersion.MINIMUM_SUPPORTED, monkeypatch)
    ca = Authority(tmp_path, "town").file if named else None

    context = trusting(ca)

    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("named", [True, False])
def test_a_higher_floor_is_kept(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator who asks for TLS 1.3 gets it, whoever vouches."""
    makes_all_speak_from(ssl.TLSVersion.TLSv1_3, monkeypatch)
    ca = Authority(tmp_path, "town").file if named else None

    assert trusting(ca).minimum_version == ssl.TLSVersion.TLSv1_3


def test_only_the_named_authority_is_trusted(tmp_path: Path) -> None:
    """Not the machine's beside it."""
    context = trusting(Authority(tmp_path, "town").file)

    assert [dict(part[0] for part in ca["subject"]) for ca in context.get_ca_certs()] == [
        {"commonName": "town"}
    ]
