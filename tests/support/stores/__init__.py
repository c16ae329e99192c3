"""Two stores that are nothing like a database, and the bus's memory for them."""
