"""From key files to an engine package on a device, by the steps that people take."""

from __future__ import annotations

from pathlib import Path

from engines.package import load_package, shipped
from engines.releases.archive import PACKAGE, pack, unpack
from engines.releases.fields import describe
from engines.releases.keys import generate, load_signer
from engines.releases.repository import Keyring, add, create
from engines.releases.signing import sign
from engines.releases.stick import export
from engines.releases.trusted import Trusted
from engines.releases.verify import open_stick
from tests.engines.releases.maker import BORN, DAY


def test_a_package_goes_all_the_way_from_the_maker_to_a_device(tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.pem" for name in ("root-1", "root-2", "root-3", "targets", "online")}
    public = {name: generate(path, name) for name, path in paths.items()}
    keyring = Keyring(
        root=(public["root-1"], public["root-2"], public["root-3"]),
        threshold=2,
        targets=public["targets"],
        snapshot=public["online"],
        timestamp=public["online"],
    )
    folder, stick, device = (tmp_path / name for name in ("release", "stick", "device"))
    create(folder, keyring, now=BORN)
    tar = tmp_path / "afb.tar"
    add(folder, tar, pack(shipped("afb"), None, tar, min_app="0.1.0"), now=BORN)
    for name in ("root-3", "root-1", "targets"):
        sign(folder, load_signer(paths[name], name))
    stick.mkdir()
    device.mkdir()
    export(folder, stick, [load_signer(paths["online"], "online")], now=BORN + DAY)

    trusted = Trusted(device / "trusted", built_at=BORN)
    root = (folder / "metadata" / "1.root.json").read_bytes()
    offer = open_stick(stick, trusted, root, now=BORN + 2 * DAY, scratch=device)
    (offered,) = offer.packages
    unpack(offer.download(offered), device / "unpacked")
    package = load_package(device / "unpacked" / PACKAGE)
    assert describe(package, min_app="0.1.0", golden=False) == offered.listing
    assert package.onnx_bytes == load_package(shipped("afb")).onnx_bytes
    offer.commit()
    assert trusted.floor() == BORN + DAY
