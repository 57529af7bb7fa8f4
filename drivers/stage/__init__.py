"""The stage over a serial port."""
