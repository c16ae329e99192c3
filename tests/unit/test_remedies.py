"""What is done besides trying again, setting aside or stopping, by the class of an error."""

from __future__ import annotations

from bus.errors import Dependency, Reaction, Remedy
from tests.support.errors import classes


def test_who_has_which_remedy() -> None:
    """Each has one at most, and the page of errors tells the same."""
    found = {error.__name__: error.remedy for error in classes() if error.remedy is not None}

    assert found == {
        "SinkUnavailable": Remedy.REOPEN,
        "EditionOutdated": Remedy.REOPEN,
        "Unready": Remedy.REOPEN,
        "FenceBehind": Remedy.MASK_AGAIN,
        "LaneLost": Remedy.ASK_AGAIN,
        "StoreWentBack": Remedy.ASK_AGAIN,
        "SealKeyUnknown": Remedy.LEAVE_PARKED,
        "SealBroken": Remedy.LEAVE_PARKED,
    }


def test_what_does_not_answer_is_tried_again() -> None:
    """Whoever waits for it is told when it does."""
    found = {error.__name__: error.outside for error in classes() if error.outside is not None}

    assert found == {
        "BrokerUnavailable": Dependency.BROKER,
        "SinkUnavailable": Dependency.STORE,
        "EditionOutdated": Dependency.STORE,
        "Unready": Dependency.STORE,
    }
    for error in classes():
        if error.outside is not None or error.has_end:
            assert error.reaction is Reaction.RETRY
