"""The digital twin: slide, optics, stage, controller and camera in software."""
