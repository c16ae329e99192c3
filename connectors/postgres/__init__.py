"""Views into PostgreSQL tables of the receiving system."""
