"""What we add to TUF's own fields, all of it signed: what a target is, and when a timestamp was signed."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from engines.package import EnginePackage


class _Signed(BaseModel):
    # A later application may add fields; a device that does not know them can still read these.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Listing(_Signed):
    """What a target is, said before it is unpacked (TUF's `custom`).

    package, version, assay, onnx_sha256: as in its manifest. min_app: the oldest application that may run it.
    golden: whether its acceptance set comes with it.
    """

    package: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    assay: str
    onnx_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    min_app: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    golden: bool

    @property
    def target_name(self) -> str:
        """Name of the target's file, e.g. "afb-zn-1.0.0.tar"."""
        return f"{self.package}-{self.version}.tar"


class SignedAt(_Signed):
    """When a timestamp was signed; TUF itself only says when it runs out."""

    signed_at: AwareDatetime


def describe(package: EnginePackage, *, min_app: str, golden: bool) -> Listing:
    """The listing of a package."""
    manifest = package.manifest
    return Listing(
        package=manifest.name,
        version=manifest.version,
        assay=manifest.assay,
        onnx_sha256=manifest.onnx.sha256,
        min_app=min_app,
        golden=golden,
    )
