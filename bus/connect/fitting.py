"""Whether a store may be given a view at all: some promises the bus cannot keep in its place."""

from __future__ import annotations

from bus.connect.port import Capabilities
from bus.errors import FieldWithheld
from bus.model import Keeping, Rewrites, View

UNFIT = "a connector that takes a location out of what it holds, or takes rows once more, masked"
"""What a view with locations needs."""


def why_unfit(connector: str, declared: Capabilities) -> str:
    """Why a location may not go to such a store, in words."""
    if declared.transactional is not None and Rewrites in declared.accepts:
        return (
            f"{UNFIT} while the bus keeps its positions: {connector} keeps its positions itself,"
            " and takes no locations out"
        )
    return f"{UNFIT}: {connector} does neither"


def insist_on_fit(view: View, declared: Capabilities) -> None:
    """Refuse *view* to a store that has *declared* what it can do.

    Who is protected tomorrow has a location in the store today. Where it can neither go nor be
    written over, it is not given; a history stays what it was anywhere.

    Raises:
        FieldWithheld: The view has locations, and the store cannot let go of them.
    """
    if view.keeping is Keeping.HISTORY or not view.locations or declared.follows_protection:
        return
    raise FieldWithheld(
        "a location may not go to a connector that could not take it back from somebody who is"
        " protected later",
        system=view.system,
        stream=view.stream,
        field=view.locations[0],
    )
