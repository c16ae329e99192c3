"""A source that is nothing like a database."""
