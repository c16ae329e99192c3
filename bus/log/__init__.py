"""Read the log: up to its end, once or on demand; a range; and the bus's own topics."""
