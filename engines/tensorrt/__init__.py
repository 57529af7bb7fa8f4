"""Engines built and run by TensorRT: strongly typed, explicitly quantised networks only."""
