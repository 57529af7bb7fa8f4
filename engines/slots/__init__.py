"""Two slots for each engine: one in use, one for the next; kept so that a crash at any instant leaves a working one."""
