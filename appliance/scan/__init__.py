"""A plan becomes field records."""
