"""One interface for every camera."""
