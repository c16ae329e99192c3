"""What the bus says of itself: logs, metrics, health. Identifiers and counts, no field values."""
