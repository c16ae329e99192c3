"""Changes in, events out: checked, encoded, appended, once and in order.

``publisher`` is the way in for whoever has changes or columns; ``outbox`` and ``bulk`` are the ways
that changes arrive. Everything that judges (``check``, ``rules``, ``whole``, ``versions``) is pure.
"""
