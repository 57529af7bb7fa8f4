"""Networks: packages, runtimes, training."""
