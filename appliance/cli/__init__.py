"""The one command, `cytoscan`."""
