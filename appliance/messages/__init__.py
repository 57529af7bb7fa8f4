"""What device and hub agree on."""
