"""Ten thousand seeded orders of protections, households, links, spellings and cases.

``python -m tests.orders`` (``make soak-orders``) runs races of varied families
(:mod:`tests.unit.deliver.protection_race`), each family in an order of its own, until so many
families have lived, and stops at the first race that fails, with its seed. ``make test`` runs the
first few of the same seeds, and takes each relation out (``test_protection_races.py``); its orders
are the same ones where ``PYTHONHASHSEED`` is 0, as it is here.
"""
