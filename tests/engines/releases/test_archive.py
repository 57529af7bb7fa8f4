"""An archive is the same each time it is packed, and one with tricks in it leaves nothing behind."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.errors import BadPackage, NotWritten
from engines.package import load_package, shipped
from engines.releases.archive import GOLDEN, PACKAGE, Limits, pack, unpack
from engines.releases.errors import BadArchive
from tests.engines.slots.dying import changes_of


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    folder = tmp_path / "acceptance"
    (folder / "pictures").mkdir(parents=True)
    (folder / "golden.yaml").write_text("pictures: [pictures/1.png]")
    (folder / "pictures" / "1.png").write_bytes(bytes(range(256)))
    return folder


def test_what_is_unpacked_is_what_was_packed(golden: Path, tmp_path: Path) -> None:
    package = load_package(shipped("afb"))
    listing = pack(package.folder, golden, tmp_path / "out.tar", min_app="0.2.0")
    assert (listing.package, listing.onnx_sha256) == (package.manifest.name, package.manifest.onnx.sha256)
    assert (listing.min_app, listing.golden) == ("0.2.0", True)
    unpack(tmp_path / "out.tar", tmp_path / "into")
    assert load_package(tmp_path / "into" / PACKAGE).onnx_bytes == package.onnx_bytes
    assert (tmp_path / "into" / GOLDEN / "pictures" / "1.png").read_bytes() == bytes(range(256))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acceptance", "into", "out.tar"]


def test_packing_twice_gives_the_same_bytes_whatever_the_files_dates_and_rights(golden: Path, tmp_path: Path) -> None:
    pack(shipped("afb"), golden, tmp_path / "first.tar", min_app="0.2.0")
    again = shutil.copytree(golden, tmp_path / "again")
    os.utime(again / "golden.yaml", (1, 1))
    (again / "golden.yaml").chmod(0o600)
    pack(shutil.copytree(shipped("afb"), tmp_path / "engine"), again, tmp_path / "second.tar", min_app="0.2.0")
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()


def test_a_package_that_is_not_whole_or_not_plain_is_not_packed(tmp_path: Path) -> None:
    folder = shutil.copytree(shipped("afb"), tmp_path / "engine")
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(BadArchive, match="link is not a plain file"):
        pack(folder, None, tmp_path / "out.tar", min_app="0.2.0")
    (folder / "manifest.yaml").unlink()
    with pytest.raises(BadPackage):
        pack(folder, None, tmp_path / "out.tar", min_app="0.2.0")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadArchive, match="no files"):
        pack(shipped("afb"), tmp_path / "empty", tmp_path / "out.tar", min_app="0.2.0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "engine"]


def test_a_disk_that_refuses_the_archive_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "out.tar").mkdir()
    with pytest.raises(NotWritten, match=r"out\.tar"):
        pack(shipped("afb"), None, tmp_path / "out.tar", min_app="0.2.0")
    assert [path.name for path in tmp_path.iterdir()] == ["out.tar"]


def _tar(path: Path, *members: tuple[str, bytes], change: Callable[[tarfile.TarInfo], None] | None = None) -> Path:
    """A tar file; `change` makes its last member odd."""
    with tarfile.open(path, "w") as archive:
        for place, (name, data) in enumerate(members, start=1):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if change and place == len(members):
                change(info)
            archive.addfile(info, io.BytesIO(data))
    return path


def _refused(tmp_path: Path, tar: Path, match: str, limits: Limits | None = None) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadArchive, match=match) as caught:
        unpack(tar, tmp_path / "into", limits)
    assert str(tar) in caught.value.what
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "name", ["/etc/evil", "../evil", "a/../../evil", "a/./b", "a//b", "a\\b", "a\nb", ".", "..", ""]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    _refused(tmp_path, _tar(tmp_path / "bad.tar", ("good", b"1"), (name, b"2")), "not a plain name")


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        tarfile.CONTTYPE,
    ],
)
def test_anything_but_a_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, "good"

    _refused(tmp_path, _tar(tmp_path / "bad.tar", ("good", b"1"), ("odd", b""), change=change), "not a plain file")


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.size": str(1 << 40), "GNU.sparse.map": "0,1"}

    _refused(tmp_path, _tar(tmp_path / "bad.tar", ("odd", b"1"), change=change), "not a plain file")


@pytest.mark.parametrize(("first", "second"), [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_a_name_twice_or_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path, first: str, second: str) -> None:
    _refused(tmp_path, _tar(tmp_path / "bad.tar", (first, b"1"), (second, b"2")), "stands there twice")


def test_more_files_or_bytes_than_the_limits_are_refused(tmp_path: Path) -> None:
    tar = _tar(tmp_path / "big.tar", ("a", b"12"), ("b", b"34"))
    _refused(tmp_path, tar, "more than the limit of 1", Limits(files=1, size_bytes=100))
    _refused(tmp_path, tar, "limit of 3 bytes", Limits(files=9, size_bytes=3))
    unpack(tar, tmp_path / "into", Limits(files=2, size_bytes=4))


def test_a_size_that_is_a_lie_is_refused(tmp_path: Path) -> None:
    tar = _tar(tmp_path / "bad.tar", ("a", b"1" * 5000))
    tar.write_bytes(tar.read_bytes()[:2048])
    _refused(tmp_path, tar, "damaged")


@pytest.mark.parametrize("data", [b"", b"not a tar at all" * 100])
def test_what_is_no_archive_is_damaged(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.tar").write_bytes(data)
    _refused(tmp_path, tmp_path / "bad.tar", "damaged")


def test_a_compressed_archive_is_refused_as_it_may_be_a_bomb(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    _refused(tmp_path, tmp_path / "bad.tar", "damaged")


def test_a_folder_with_something_in_it_is_never_unpacked_over(tmp_path: Path) -> None:
    tar = _tar(tmp_path / "good.tar", ("a", b"1"))
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "mine").write_text("mine")
    with pytest.raises(NotWritten, match="into"):
        unpack(tar, tmp_path / "into")
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["mine"]
    with pytest.raises(NotWritten, match=r"absent\.tar"):
        unpack(tmp_path / "absent.tar", tmp_path / "other")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_every_file_is_forced_to_the_disk_before_the_folder_has_its_name(tmp_path: Path) -> None:
    tar = _tar(tmp_path / "good.tar", ("a", b"1"), ("b/c", b"2"))
    changes = changes_of(lambda: unpack(tar, tmp_path / "into"), tmp_path / "changes")
    named = next(place for place, (what, *_) in enumerate(changes) if what == "os.rename")
    forced = {Path(paths[0]).name for what, *paths in changes[:named] if what == "fsync"}
    assert {"a", "b", "c"} < forced


def test_a_negative_size_is_refused_and_not_read_for_ever(tmp_path: Path) -> None:
    tar = _tar(tmp_path / "bad.tar", ("a", b"1"))
    data = bytearray(tar.read_bytes())
    data[124:136] = b"\xff" * 10 + b"\xfe\x00"  # the size field, in base 256
    checksum = sum(data[:148]) + sum(b" " * 8) + sum(data[156:512])
    data[148:156] = b"%06o\0 " % checksum
    tar.write_bytes(data)
    _refused(tmp_path, tar, "beyond the limit|damaged")
