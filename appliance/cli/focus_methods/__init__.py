"""Ways to focus the fields of a plan, ours and those that others ship, behind one small interface for `bench focus`."""
