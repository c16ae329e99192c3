"""Whom TLS trusts, and how old it may be."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from bus.tls import trusting
from tests.support.certificates import Authority


@pytest.mark.parametrize("named", [True, False])
def test_there_is_a_floor_whatever_python_runs(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's says "the oldest there is" and leaves it to a file of OpenSSL's."""

    def lax(*_: object, **__: object) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        return context

    monkeypatch.setattr("bus.tls.ssl.create_default_context", lax)
    ca = Authority(tmp_path, "town").file if named else None

    context = trusting(ca)

    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_higher_floor_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator who asks for TLS 1.3 gets it."""
    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    monkeypatch.setattr("bus.tls.ssl.create_default_context", lambda **_: made)

    assert trusting(tmp_path / "ca").minimum_version == ssl.TLSVersion.TLSv1_3


def test_only_the_named_authority_is_trusted(tmp_path: Path) -> None:
    """Not the machine's beside it."""
    context = trusting(Authority(tmp_path, "town").file)

    assert [dict(part[0] for part in ca["subject"]) for ca in context.get_ca_certs()] == [
        {"commonName": "town"}
    ]
