"""The bus's own streams, each with an index of what its newest records say."""
