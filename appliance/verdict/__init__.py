"""Pure functions from field records to a verdict."""
