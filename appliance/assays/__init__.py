"""What is looked for and how it is graded, as data."""

from appliance.assays.load import known_assays, load_assay
from appliance.assays.model import (
    Adequacy,
    AfbGrading,
    Assay,
    DensityRow,
    DensityTable,
    HighPowerField,
    Labels,
    Reading,
    Stain,
    StopEarly,
    TisCategory,
    TisCode,
    TisGrading,
    TisScoring,
)

__all__ = [
    "Adequacy",
    "AfbGrading",
    "Assay",
    "DensityRow",
    "DensityTable",
    "HighPowerField",
    "Labels",
    "Reading",
    "Stain",
    "StopEarly",
    "TisCategory",
    "TisCode",
    "TisGrading",
    "TisScoring",
    "known_assays",
    "load_assay",
]
