"""One YAML file, typed and validated."""
