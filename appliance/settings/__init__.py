"""One YAML file, typed and validated."""

from appliance.settings.load import EXAMPLE, load_settings, settings_sha256
from appliance.settings.model import (
    CameraSection,
    EnginesSection,
    FocusSection,
    JournalSection,
    OpticsSection,
    RegionSection,
    ReportSection,
    ScanSection,
    Settings,
    StageSection,
    TlsSection,
    UplinkSection,
)

__all__ = [
    "EXAMPLE",
    "CameraSection",
    "EnginesSection",
    "FocusSection",
    "JournalSection",
    "OpticsSection",
    "RegionSection",
    "ReportSection",
    "ScanSection",
    "Settings",
    "StageSection",
    "TlsSection",
    "UplinkSection",
    "load_settings",
    "settings_sha256",
]
