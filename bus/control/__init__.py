"""The bus's own streams as values and indexes: what each says by now."""
