"""The slide report that a person reads."""
