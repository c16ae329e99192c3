"""Make all pages of the reference, by their paths."""

from __future__ import annotations

from collections.abc import Mapping

from bus.reference import places
from bus.reference.book import book
from bus.reference.code_page import code_page
from bus.reference.front_page import front_page
from bus.reference.picture import picture
from bus.reference.sources import Sources
from bus.reference.stream_page import stream_page
from bus.reference.system_page import system_page


def pages(sources: Sources) -> Mapping[str, str]:
    """Path below the reference's folder -> text of the file."""
    found = {places.FRONT: front_page(sources), places.PICTURE: picture(sources)}
    for stream in (*sources.streams, *sources.internal):
        found[places.of_stream(stream.name)] = stream_page(stream, sources)
    for system in sources.systems.values():
        found[places.of_system(system.name)] = system_page(system, sources)
    for codes in sources.catalog.codes.values():
        found[places.of_codes(codes.name)] = code_page(codes, sources)
    found[places.BOOK] = book(found)
    return found
