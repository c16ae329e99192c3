"""Streams and their schemas: loading, identity, compatibility, codecs and the registry."""

from bus.catalog.codes import Code, CodeList
from bus.catalog.load import Catalog, check, load

__all__ = ["Catalog", "Code", "CodeList", "check", "load"]
