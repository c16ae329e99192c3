"""The composition root: the one place that builds adapters and joins parts."""
