"""Engines on this device: from a package to the slot in use, each step recorded. Start at `install`."""
