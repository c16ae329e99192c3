"""The log as everybody reads it: to its end, once or on demand; a range; the bus's own topics."""
