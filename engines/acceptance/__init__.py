"""An engine is tried on golden fields before it may read slides. Start reading at `run.py`."""
