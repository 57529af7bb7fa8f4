"""Keys are made once, read back with their passphrase, and never replaced."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engines.errors import NotWritten
from engines.releases.errors import BadKey
from engines.releases.keys import generate, load_public, load_signer, public_path


@pytest.mark.parametrize("passphrase", [None, "three white cells"])
def test_a_key_that_was_made_signs_what_its_public_half_verifies(tmp_path: Path, passphrase: str | None) -> None:
    path = tmp_path / "root-1.pem"
    public = generate(path, passphrase)
    signer = load_signer(path, passphrase)
    assert signer.public_key == public == load_public(public_path(path))
    public.verify_signature(signer.sign(b"data"), b"data")
    assert (b"ENCRYPTED" in path.read_bytes()) == (passphrase is not None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "root-1.pem"
    generate(path, None)
    before = path.read_bytes()
    with pytest.raises(BadKey, match="already"):
        generate(path, None)
    path.unlink()
    with pytest.raises(BadKey, match=r"\.pub already"):
        generate(path, None)
    assert not path.exists()
    assert before.startswith(b"-----BEGIN PRIVATE KEY")


def test_a_key_needs_a_passphrase_or_a_plain_no(tmp_path: Path) -> None:
    with pytest.raises(BadKey, match="passphrase is empty"):
        generate(tmp_path / "root-1.pem", "")
    assert list(tmp_path.iterdir()) == []


def test_a_key_cannot_be_made_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotWritten, match="absent"):
        generate(tmp_path / "absent" / "root-1.pem", None)


@pytest.mark.parametrize(
    ("made", "given", "said"),
    [
        ("right", "wrong", "passphrase is wrong"),
        ("right", None, "needs its passphrase"),
        (None, "some", "has no passphrase, but one was given"),
    ],
)
def test_a_wrong_passphrase_is_named(tmp_path: Path, made: str | None, given: str | None, said: str) -> None:
    path = tmp_path / "root-1.pem"
    generate(path, made)
    with pytest.raises(BadKey, match=said) as caught:
        load_signer(path, given)
    assert str(path) in caught.value.what


def test_what_is_no_key_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pem", tmp_path / "empty.pem"):
        for load in (load_public, lambda path: load_signer(path, None)):
            with pytest.raises(BadKey, match=path.name):
                load(path)
        (tmp_path / "empty.pem").write_bytes(b"")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ec.pem").write_bytes(
        other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (tmp_path / "ec.pem.pub").write_bytes(
        other.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(BadKey, match="not an ed25519 key"):
        load_signer(tmp_path / "ec.pem", None)
    with pytest.raises(BadKey, match="not an ed25519 key"):
        load_public(tmp_path / "ec.pem.pub")
