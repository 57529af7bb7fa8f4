"""How deep the picture is sharp: the length by which everything in focusing is scaled."""

from __future__ import annotations

from dataclasses import dataclass

_GREEN_UM = 0.55


@dataclass(frozen=True)
class FocusOptics:
    """Numerical aperture in air, and micrometres of specimen per pixel."""

    na: float
    um_per_px: float

    @property
    def dof_um(self) -> float:
        """Depth of field in µm, from nearest to furthest sharp plane.

        λ n / NA² + n e / (M NA), with e / M the pixel in the specimen. Source: Nikon MicroscopyU, "Depth of Field and
        Depth of Focus".
        """
        return _GREEN_UM / self.na**2 + self.um_per_px / self.na
