"""Parsers of names, numbers and words that commands take, each looked up before anything else.

Every parameter that is a text has one of these as its parser, so that no command can take a name
and find nothing under it: what is unknown is said, with what is near it (exit 64). A test walks
through all commands and holds every parameter to it. Where names are known is imported when one
is to be looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from uuid import UUID

from bus import app as composition
from bus.cli.asking import ask
from bus.errors import UnknownName

SEE = {
    "system": "renkei systems list, renkei subscriptions list",
    "stream": "renkei streams list",
}
NEAR = 3  # names that are told, at most


def unknown(kind: str, text: str, known: Iterable[str] = (), note: str = "") -> UnknownName:
    """The error for an unknown name, with the names that are near it."""
    near = get_close_matches(text, list(known), NEAR, 0.5)
    said = f"there is no such {kind}{note}"
    if near:
        said += f"; near it: {', '.join(near)}"
    if kind in SEE:
        said += f"; see: {SEE[kind]}"
    return UnknownName(said, **{kind: text})


def system(text: str) -> str:
    """A system that the files, the settings, an edition or the ledger know.

    Raises:
        UnknownName: Nobody does.
    """
    from bus.operate import naming

    settings = composition.configured.settings()
    if text in naming.configured_names(settings):
        return text
    known = naming.system_names(settings)
    if text in known:
        return text
    elsewhere = ask(lambda session: naming.is_known_elsewhere(session, text))
    if elsewhere:
        return text
    cannot = "; what was applied and delivered before cannot be asked" if elsewhere is None else ""
    raise unknown("system", text, known, cannot)


def connected(text: str) -> str:
    """A receiving system that the settings have a connection for.

    Raises:
        UnknownName: There is none of this name in the settings.
    """
    from bus.operate import naming

    known = naming.connected_names(composition.configured.settings())
    return _of(text, known, "system", " in the settings")


def outbox(text: str) -> str:
    """A publishing system that the settings have an outbox for.

    Raises:
        UnknownName: There is none of this name in the settings.
    """
    from bus.operate import naming

    known = naming.outbox_names(composition.configured.settings())
    return _of(text, known, "system", " in the settings")


def source(text: str) -> str:
    """A publishing system that the settings have a source for.

    Raises:
        UnknownName: There is none of this name in the settings.
    """
    from bus.operate import naming

    known = naming.source_names(composition.configured.settings())
    return _of(text, known, "system", " in the settings")


def stream(text: str) -> str:
    """A stream of the catalogue.

    Raises:
        UnknownName: There is none.
    """
    from bus.operate import naming

    return _of(text, naming.stream_names(composition.configured.settings()), "stream")


def subject(text: str) -> str:
    """A subject as lists show it: municipality and number, or the digest of a key.

    Raises:
        UnknownName: It is neither; the text is not said again, it may be somebody's number.
    """
    from bus.model.subject import KEY, is_digest

    if not (KEY.fullmatch(text) or is_digest(text)):
        raise UnknownName(
            "a subject is <municipality>/<number>, as the list shows it: six digits, a stroke, and"
            " the number"
        )
    return text


def person(text: str) -> str:
    """A number, with or without its municipality; the ledger is asked whether it knows it."""
    return text


def change(text: str) -> str:
    """A change's id.

    Raises:
        UnknownName: It cannot be one.
    """
    try:
        return str(UUID(text))
    except ValueError:
        raise UnknownName(
            "a change's id is a UUID, as `renkei publish` prints it", change_id=text
        ) from None


def one_of(kind: str, known: Sequence[str]) -> Callable[[str], str]:
    """A parser of a few names that the program has."""

    def chosen(text: str) -> str:
        return _of(text, known, kind)

    return chosen


def words(text: str) -> str:
    """Free text, such as a reason; it is checked where it is kept."""
    return text


def made(text: str) -> str:
    """A name of something that the command makes: there is no list of it."""
    return text


def _of(text: str, known: Sequence[str], kind: str, where: str = "") -> str:
    if text not in known:
        raise unknown(kind, text, known, where)
    return text
