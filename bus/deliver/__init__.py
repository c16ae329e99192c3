"""Delivery: lanes that carry views into systems' stores, in order, with receipts."""
