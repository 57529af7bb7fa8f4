"""Development only: data, training, export, evaluation."""
