"""Keys that sign releases: ed25519, a private and a public PEM file each."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from engines.durable import storing, sync
from engines.releases.errors import BadKey


def generate(path: Path, passphrase: str | None) -> SSlibKey:
    """Make a key pair: the private key at `path`, for its owner's eyes only, the public one beside it as `.pub`.

    passphrase: encrypts the private key; None writes it in plain, for a key that never leaves a safe place.
    Raises BadKey when either file is there already or the passphrase is empty, NotWritten when the disk refuses.
    """
    if passphrase == "":
        raise BadKey("The passphrase is empty.", remedy="Give one, or ask plainly for a key without.")
    for taken in filter(Path.exists, (path, public_path(path))):
        raise BadKey(f"There is a key at {taken} already.", remedy="Choose another name; a key is never replaced.")
    private = Ed25519PrivateKey.generate()
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()
        if passphrase is None
        else serialization.BestAvailableEncryption(passphrase.encode()),
    )
    public = private.public_key()
    open_text = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    _write_new(public_path(path), open_text, mode=0o644)
    _write_new(path, secret, mode=0o600)
    return SSlibKey.from_crypto(public)


def public_path(path: Path) -> Path:
    """Where the public half of the private key at `path` lies."""
    return path.with_name(path.name + ".pub")


def load_signer(path: Path, passphrase: str | None) -> CryptoSigner:
    """The private key at `path`, ready to sign.

    Raises BadKey when the file cannot be read, is no ed25519 key, or the passphrase is wrong, absent or not needed.
    """
    try:
        private = serialization.load_pem_private_key(_read(path), None if passphrase is None else passphrase.encode())
    except TypeError as error:
        needed = "needs its passphrase" if passphrase is None else "has no passphrase, but one was given"
        raise BadKey(f"The key {path} {needed}.", remedy="Try again accordingly.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        wrong = "is not a private key" if passphrase is None else "is not a private key, or its passphrase is wrong"
        raise BadKey(f"{path} {wrong}.", remedy="Check path and passphrase.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise BadKey(f"{path} is not an ed25519 key.", remedy="Use a key that was made for releases.")
    return CryptoSigner(private)


def load_public(path: Path) -> SSlibKey:
    """The public key at `path`. Raises BadKey when the file cannot be read or is no ed25519 public key."""
    try:
        public = serialization.load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{path} is not a public key.", remedy="Give the file that ends in .pub.") from error
    if not isinstance(public, Ed25519PublicKey):
        raise BadKey(f"{path} is not an ed25519 key.", remedy="Use a key that was made for releases.")
    return SSlibKey.from_crypto(public)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadKey(
            f"The key {path} cannot be read: {error.strerror}.", remedy="Check path and permissions."
        ) from error


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    with storing(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        sync(path)
        sync(path.parent)
