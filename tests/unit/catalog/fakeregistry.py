"""A registry in memory behind httpx, which can be away, slow to agree, or wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httpx

from bus.catalog.registry import Registry

BASE = "http://registry.test/apis/ccompat/v7"


class FakeRegistry(httpx.AsyncBaseTransport):
    """Answers as the Confluent API does. ``before`` may answer or raise first."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.subjects: dict[str, list[int]] = {}
        self.levels: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    def registry(self) -> Registry:
        """A client of it."""
        return Registry(BASE, transport=self)

    def put(self, text: str, schema_id: int) -> None:
        """Register *text* under an id, for no subject."""
        self.texts[schema_id] = text

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.raw_path.decode()).removeprefix("/apis/ccompat/v7/")
        self.asked.append((request.method, path))
        answer = self.before(request)
        if answer is not None:
            return answer
        body = json.loads(request.content) if request.content else {}
        return self._answer(request.method, path.split("/"), body)

    def _answer(self, method: str, parts: list[str], body: Any) -> httpx.Response:
        match method, *parts:
            case "GET", "schemas", "ids", schema_id:
                text = self.texts.get(int(schema_id))
                return _found({"schema": text}) if text is not None else _missing(40403)
            case "PUT", "config", subject:
                self.levels[subject] = body["compatibility"]
                return _found({"compatibilityLevel": body["compatibility"]})
            case "POST", "compatibility", "subjects", subject, "versions":
                return _found({"is_compatible": True})
            case "POST", "subjects", subject:
                for number in self.subjects.get(subject, ()):
                    if self.texts[number] == body["schema"]:
                        return _found({"id": number})
                return _missing(40403)
            case "POST", "subjects", subject, "versions":
                number = max(self.texts, default=0) + 1
                self.texts[number] = body["schema"]
                self.subjects.setdefault(subject, []).append(number)
                return _found({"id": number})
        raise AssertionError(f"nobody asks {method} {parts}")


def _found(content: Any) -> httpx.Response:
    return httpx.Response(200, json=content)


def _missing(code: int) -> httpx.Response:
    return httpx.Response(404, json={"error_code": code})
