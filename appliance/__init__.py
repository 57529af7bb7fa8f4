"""The CytoScan appliance: scan a slide, score it, give a verdict, report it. Research use only."""

__version__ = "0.1.0"
