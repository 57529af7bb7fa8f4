"""GPU memory, streams and the one thread that owns them, behind a small protocol."""
