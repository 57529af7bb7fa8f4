"""An engine built on this device in a process of its own. Start reading at `runner.py`; `process.py` is the child."""
