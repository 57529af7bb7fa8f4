"""What was found on a device: sections of one report, as strict JSON and as a page. Start reading at `section.py`."""
