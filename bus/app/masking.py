"""Read the keys of hashing masks: one per receiving system, from a file that only its owner reads.

Two systems never share a key, or they could join what each holds. A key is named by its id in
views and receipts; with another key a system's column means something else, and is filled anew.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import SecretBytes

from bus.credentials import is_private, setting_fault
from bus.errors import SettingsRefused
from bus.model import Fault, MaskKey
from bus.settings import Settings
from bus.yamltext import load_yaml

_NAME = "mask_keys"
_BYTES = 32  # as many as the hash has: fewer would be the weakest part
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def mask_keys(settings: Settings) -> Mapping[str, MaskKey]:
    """System -> its own key; empty where no file is set.

    Raises:
        SettingsRefused: The file cannot be used, others may read it, or a key is there twice.
    """
    if settings.mask_keys is None:
        return {}
    faults: list[Fault] = []
    found = _read(settings.mask_keys, faults)
    if faults:
        raise SettingsRefused("the keys of masks cannot be used", faults, count=len(faults))
    return found


def _read(file: Path, faults: list[Fault]) -> dict[str, MaskKey]:
    if not is_private(file, _NAME, faults):
        return {}
    try:
        content = load_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        content = None
    if not isinstance(content, dict):
        faults.append(setting_fault(_NAME, "unusable", "a YAML mapping: system -> id and key"))
        return {}
    found: dict[str, MaskKey] = {}
    for system, entry in content.items():
        key = _key(entry)
        if key is None or not isinstance(system, str):
            expected = f"of each system an id (text) and a key ({_BYTES} bytes or more, base64)"
            faults.append(setting_fault(_NAME, "unusable", expected))
        elif any(key.secret == other.secret for other in found.values()):
            faults.append(setting_fault(_NAME, "twice", "a key of its own for each system"))
        else:
            found[system] = key
    return found


def _key(entry: object) -> MaskKey | None:
    if not isinstance(entry, dict) or entry.keys() != {"id", "key"}:
        return None
    name, text = entry["id"], entry["key"]
    if not isinstance(name, str) or not isinstance(text, str) or not _ID.fullmatch(name):
        return None
    try:
        secret = b64decode(text, validate=True)
    except ValueError:
        return None
    return MaskKey(name, SecretBytes(secret)) if len(secret) >= _BYTES else None
