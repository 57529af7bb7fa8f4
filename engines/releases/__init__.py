"""Signed releases of engine packages, carried to a device on a stick (The Update Framework, python-tuf)."""
