"""Write the reference: what is published, who receives it, and on which ground.

Pages and facts are pure functions of the contracts: streams, code lists, systems, subscriptions
and the rules' own words. Nothing here is written a second time by hand, and nothing depends on
the day or the machine: the same files give the same pages. Only :mod:`bus.reference.folder`
touches a disk.
"""

from bus.reference.build import pages
from bus.reference.folder import FolderDifference, difference, write
from bus.reference.sources import Sources, gather

__all__ = ["FolderDifference", "Sources", "difference", "gather", "pages", "write"]
