"""Delivery: lanes carry views into systems' stores, in order, with receipts."""
