"""Reads from the settings how this process logs in to Kafka and the registry, and where keys are.

Everything is checked before anything is opened, and all that is wrong is said at once. Nothing is
guessed: half of what a protocol needs is refused, and so is what the chosen protocol would not
use, for whoever wrote it meant another one. A password crosses no wire in the clear.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from bus.broker.security import Login, Mechanism, Protocol, Security
from bus.catalog.registry import RegistrySecurity
from bus.errors import SettingsRefused
from bus.files import objection
from bus.hosts import is_loopback, stays_here
from bus.model import Fault, NumberForm
from bus.sealing import CommandSource, FileSource, KeySource
from bus.settings import PREFIX, Settings
from bus.tls import trusting

_KEY_BYTES = 32
_FOR_TLS = ("kafka_ca", "kafka_certificate", "kafka_key")
_FOR_LOGIN = ("kafka_user", "kafka_password", "kafka_password_file")
_Word = TypeVar("_Word", Protocol, Mechanism)


def kafka_security(settings: Settings) -> Security:
    """How to log in to the cluster of these settings.

    Raises:
        SettingsRefused: They do not go together, or a file that they name cannot be used.
    """
    faults: list[Fault] = []
    protocol = _one_of(Protocol, settings.kafka_security, "kafka_security", faults)
    mechanism = _one_of(Mechanism, settings.kafka_mechanism, "kafka_mechanism", faults)
    if protocol is None or mechanism is None:
        raise _refused(faults)
    faults += _half_said(settings, protocol)
    context, login = None, None
    if protocol.is_encrypted:
        if settings.kafka_ca is not None:
            context = _trusting("kafka_ca", settings.kafka_ca, faults)
        _show(context, settings, faults)
    if protocol.has_login:
        said, file = settings.kafka_password, settings.kafka_password_file
        password = _password("kafka_password", said, file, faults)
        login = Login(mechanism, settings.kafka_user or "", password)
    if faults:
        raise _refused(faults)
    return Security(protocol, context, login)


def registry_security(settings: Settings) -> RegistrySecurity:
    """How to log in to the registry of these settings.

    Raises:
        SettingsRefused: They do not go together, or a file that they name cannot be used.
    """
    faults: list[Fault] = []
    url = urlsplit(settings.registry or "")
    is_encrypted = url.scheme == "https"
    if settings.registry_ca is not None and not is_encrypted:
        expected = f"{_variable('registry')} to begin with https"
        faults.append(setting_fault("registry_ca", "unused", expected))
    context = None
    if is_encrypted or settings.registry_ca is not None:
        context = _trusting("registry_ca", settings.registry_ca, faults)
    user = settings.registry_user
    said, file = settings.registry_password, settings.registry_password_file
    login = None
    if user is not None or said is not None or file is not None:
        if not user:
            faults.append(setting_fault("registry_user", "missing", "the user who logs in"))
        login = (user or "", _password("registry_password", said, file, faults))
    if login is not None and url.username is not None:
        expected = f"a login here or in {_variable('registry_user')}, not both"
        faults.append(setting_fault("registry", "twice", expected))
    if not is_encrypted and not is_loopback(url.hostname or ""):
        faults.append(setting_fault("registry", "in-the-clear", "https, for it is not here"))
    if faults:
        raise _refused(faults)
    return RegistrySecurity(context, login)


def seal_keys(settings: Settings) -> KeySource | None:
    """Where the keys that seal 個人番号 come from; None if these settings name no place.

    Raises:
        SettingsRefused: They name two.
    """
    return _keys("seal_keys", settings.seal_keys_file, settings.seal_keys_command)


def receipt_keys(settings: Settings) -> KeySource | None:
    """Where the keys that prove the bus's receipts come from; None if these settings name no place.

    Raises:
        SettingsRefused: They name two.
    """
    return _keys("receipt_keys", settings.receipt_keys_file, settings.receipt_keys_command)


def _keys(name: str, file: Path | None, command: SecretStr | None) -> KeySource | None:
    if file is not None and command is not None:
        expected = f"this or {_variable(f'{name}_file')}, not both"
        fault = setting_fault(f"{name}_command", "twice", expected)
        raise SettingsRefused("there are keys from two places", [fault])
    if command is not None:
        return CommandSource(command.get_secret_value())
    return FileSource(file) if file is not None else None


def erasure_key(settings: Settings) -> bytes:
    """The key of the digests by which erased subjects are known.

    Raises:
        ConfigurationError: None is set.
        SettingsRefused: Its file cannot be used.
    """
    faults: list[Fault] = []
    key = _secret(settings.need("erasure_key_file"), "erasure_key_file", faults).encode()
    if not faults and len(key) < _KEY_BYTES:
        faults.append(setting_fault("erasure_key_file", "unusable", f"{_KEY_BYTES} bytes or more"))
    if faults:
        raise SettingsRefused("the key of erasures cannot be used", faults, count=len(faults))
    return key


def _half_said(settings: Settings, protocol: Protocol) -> Iterator[Fault]:
    """Faults: settings that the protocol needs and that are missing, or that it does not use."""
    for names, is_used, what in (
        (_FOR_TLS, protocol.is_encrypted, "SSL or SASL_SSL"),
        (_FOR_LOGIN, protocol.has_login, "SASL_SSL"),
    ):
        for name in names:
            if not is_used and getattr(settings, name) is not None:
                yield setting_fault(name, "unused", f"{_variable('kafka_security')} to be {what}")
    if protocol.is_encrypted:
        if settings.kafka_ca is None:
            yield setting_fault(
                "kafka_ca", "missing", "the file of whoever vouches for the brokers"
            )
        if settings.kafka_certificate is not None and settings.kafka_key is None:
            yield setting_fault("kafka_key", "missing", "the key of the certificate")
        if settings.kafka_key is not None and settings.kafka_certificate is None:
            yield setting_fault("kafka_certificate", "missing", "the certificate of the key")
    if protocol.has_login and not settings.kafka_user:
        yield setting_fault("kafka_user", "missing", "the user who logs in")
    if not protocol.is_encrypted and settings.kafka and not stays_here(settings.kafka):
        expected = "SASL_SSL" if protocol.has_login else "SSL or SASL_SSL"
        yield setting_fault(
            "kafka_security", "in-the-clear", f"{expected}, for the brokers are not here"
        )


def _password(name: str, said: SecretStr | None, file: Path | None, faults: list[Fault]) -> str:
    """The password, from the setting *name* or from its file; empty where there is a fault."""
    if said is not None and file is not None:
        expected = f"this or {_variable(name)}_FILE, not both"
    elif said is None and file is None:
        expected = f"this or {_variable(name)}_FILE"
    elif file is not None:
        return _secret(file, f"{name}_file", faults)
    else:
        found = said.get_secret_value() if said is not None else ""
        if found:
            return found
        expected = "a password"
    faults.append(setting_fault(name, "missing" if said is None else "unusable", expected))
    return ""


def _secret(file: Path, name: str, faults: list[Fault]) -> str:
    """The content of a file that only its owner may read, without the line's end."""
    if not is_private(file, name, faults):
        return ""
    try:
        found = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        found = ""
    if not found:
        faults.append(setting_fault(name, "unusable", "a file with a password in it, as text"))
    return found


def is_private(file: Path, name: str, faults: list[Fault]) -> bool:
    """Whether only its owner may read the file of the setting *name*; if not, adds a fault."""
    try:
        found = objection(file.stat(), is_secret=True)
    except OSError:
        found = ("unreadable", "a file that this process can read")
    if found is not None:
        faults.append(setting_fault(name, *found))
    return found is None


def _show(context: ssl.SSLContext | None, settings: Settings, faults: list[Fault]) -> None:
    """Load our own certificate, to be shown to brokers that ask for one."""
    certificate, key = settings.kafka_certificate, settings.kafka_key
    if certificate is None or key is None or not is_private(key, "kafka_key", faults):
        return
    try:
        # without a word for it, an encrypted key would be asked for on the terminal
        (context or trusting(None)).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError):
        expected = "a PEM certificate and its key, not encrypted"
        faults.append(setting_fault("kafka_certificate", "unusable", expected))


def _trusting(name: str, ca: Path | None, faults: list[Fault]) -> ssl.SSLContext | None:
    try:
        return trusting(ca)
    except (OSError, ValueError):  # ssl.SSLError is one of the first
        faults.append(setting_fault(name, "unusable", "a file of PEM certificates"))
        return None


def _one_of(words: type[_Word], said: str, name: str, faults: list[Fault]) -> _Word | None:
    try:
        return words(said)
    except ValueError:
        faults.append(setting_fault(name, "unknown", f"one of {', '.join(words)}"))
        return None


def setting_fault(name: str, code: str, expected: str) -> Fault:
    """What is wrong with the setting *name*."""
    return Fault(code=code, field=_variable(name), expected=expected)


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def _refused(faults: list[Fault]) -> SettingsRefused:
    return SettingsRefused("these settings do not make a safe way in", faults, count=len(faults))


def number_form(settings: Settings) -> NumberForm:
    """How this site writes 宛名番号 and 世帯番号: what may be published."""
    return NumberForm(settings.number_width, settings.number_padded)
