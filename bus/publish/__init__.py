"""Publishing: changes are checked, encoded and appended to Kafka as events, once and in order.

``publisher`` is the way in for whoever has changes or columns; ``runner`` publishes what waits in a
source. Everything that judges (``check``, ``rules``, ``whole``, ``versions``) is pure.
"""
