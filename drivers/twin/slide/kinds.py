"""Names of the objects in a slide's truth."""

from __future__ import annotations

NUCLEATED = frozenset({"lymphocyte", "neutrophil", "eosinophil", "macrophage", "mesothelial", "reactive", "malignant"})
"""Nucleated cells of a serous slide; the malignant share refers to these."""

CLUSTER = "cluster"
"""A three-dimensional group; its cells are listed too, marked `in_cluster`."""

AFB = "afb"
"""One bacillus."""

CLUTTER = frozenset({"dust"})
"""What lies on any glass: a field that shows nothing else is blank."""
