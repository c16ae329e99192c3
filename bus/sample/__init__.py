"""The synthetic town: people, a small core system, neighbours, and everything to run them.

The demo shows it and the bench measures with it; nothing that runs in production imports it.
"""
