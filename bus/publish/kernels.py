"""Arrow's compute kernels without static types, and names for their arguments and results.

The stubs know kernels only by overloads over Arrow's own values, not over the plain numbers and
texts that the kernels take as well; checking by them would need a cast on every line. Types are
said where columns enter and leave this package.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import pyarrow.compute

kernels: Any = pyarrow.compute

Column: TypeAlias = Any
"""A ``pyarrow.Array``."""
Mask: TypeAlias = Any
"""A ``pyarrow.BooleanArray``; null where there is nothing to judge."""
