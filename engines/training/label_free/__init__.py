"""An engine that learns from unlabelled fields of negative slides: what does not look like them is atypical."""
