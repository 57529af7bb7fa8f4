"""Hub side: the reference receiver."""
