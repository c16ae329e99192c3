"""The settings in a form that may be shown: secrets as stars."""

from __future__ import annotations

from typing import Any

from bus.settings import Settings

STARS = "**********"
URLS = ("registry", "maven")  # plain text, but some have a login in them


def shown(settings: Settings) -> dict[str, Any]:
    """The settings as plain values. A connector's options may hold secrets, so none is shown."""
    values = settings.model_dump(mode="json")
    for name in URLS:
        values[name] = without_login(values[name])
    for system in values["systems"].values():
        system["options"] = dict.fromkeys(system["options"], STARS)
    return values


def without_login(url: str | None) -> str | None:
    """*url* with stars in place of user and password."""
    if url is None or "@" not in url:
        return url
    scheme, _, rest = url.rpartition("//")
    login, _, place = rest.rpartition("@")
    return f"{scheme}//{STARS}@{place}" if login else url
