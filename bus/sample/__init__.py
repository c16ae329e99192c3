"""The synthetic town: people, a core system in miniature, neighbours, and the machines of all.

The demo shows it and the bench measures with it; nothing that runs in production imports it.
"""
