"""`cytoscan release …`: what a maker does, from a package to the stick that a field engineer carries.

Keys lie on different machines, and the release folder travels between them; so each step is a command of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from securesystemslib.signer import CryptoSigner

import appliance
from appliance.cli.golden_fields import drawn_golden
from appliance.cli.plain_console import plain_console
from appliance.journal import utc_now
from engines.acceptance.belonging import check_belongs
from engines.acceptance.golden import load_golden
from engines.package import load_package
from engines.releases import keys, repository
from engines.releases.archive import GOLDEN, PACKAGE, pack, unpack
from engines.releases.fields import Listing, describe
from engines.releases.publishing import STICK_LIFETIME
from engines.releases.repository import Keyring
from engines.releases.signing import Waiting, sign, waiting
from engines.releases.stick import export
from engines.tensorrt.signature import FrameSize

_VARIABLE = "CYTOSCAN_PASSPHRASE"
_REFERENCE = FrameSize(height_px=1208, width_px=1928)

app = typer.Typer(help="Make releases of engine packages: keys, signatures, sticks. For makers; never on a device.")
Folder = Annotated[Path, typer.Argument(help="The release folder.")]
Public = Annotated[Path, typer.Option(help="Public key (.pub).")]
Plain = Annotated[bool, typer.Option("--plain", help="The key has no passphrase: it never leaves a safe place.")]
RootKeys = Annotated[list[Path], typer.Option("--root", help="Public key (.pub) that signs roots. Repeatable.")]
Threshold = Annotated[int, typer.Option(help="How many of the root keys have to sign a root.", min=1)]


@app.callback()
def release() -> None:
    """Options before the command's name."""


@app.command()
def keygen(path: Annotated[Path, typer.Argument(help="File of the private key.")], *, plain: Plain = False) -> None:
    """Make a key pair; the public half lies beside it, as .pub."""
    keys.generate(path, None if plain else _passphrase(path, new=True))
    plain_console().print(f"{path} is the private key; never copy it. {keys.public_path(path)} is the public one.")


@app.command()
def create(
    folder: Folder,
    *,
    root: RootKeys,
    targets: Public,
    snapshot: Public,
    timestamp: Public,
    threshold: Threshold = 2,
) -> None:
    """Begin a release folder. Its first root then waits for the signatures of root keys."""
    repository.create(folder, _keyring(root, threshold, targets, snapshot, timestamp), now=utc_now())
    _tell_waiting(waiting(folder))


@app.command()
def rotate(
    folder: Folder,
    *,
    root: RootKeys,
    targets: Public,
    snapshot: Public,
    timestamp: Public,
    threshold: Threshold = 2,
) -> None:
    """Draft the next root with these keys: for new keyholders, or to take a lost key out. Old and new ones sign it."""
    repository.rotate_root(folder, _keyring(root, threshold, targets, snapshot, timestamp), now=utc_now())
    _tell_waiting(waiting(folder))


@app.command()
def renew(folder: Folder) -> None:
    """Draft the same list of packages once more: for a new targets key after `rotate`, or for a longer life."""
    repository.renew(folder, now=utc_now())
    _tell_waiting(waiting(folder))


@app.command()
def make(
    package: Annotated[Path, typer.Argument(help="Folder of the engine package.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the archive.")],
    golden: Annotated[
        Path | None, typer.Option(help="Folder of golden fields; without it, the twin draws some.")
    ] = None,
) -> None:
    """Pack an engine package and its golden fields into one archive. The same files give the same bytes."""
    loaded = load_package(package)
    archive = out / f"{loaded.manifest.name}-{loaded.manifest.version}.tar"
    with TemporaryDirectory(prefix="golden-") as drawn:
        if golden is None:
            golden = Path(drawn) / "golden"
            drawn_golden(loaded, _REFERENCE, golden)
        else:
            check_belongs(loaded, load_golden(golden))
        out.mkdir(parents=True, exist_ok=True)
        pack(package, golden, archive, min_app=appliance.__version__)
    plain_console().print(f"{archive} ({archive.stat().st_size / 1e6:.1f} MB)")


@app.command("sign")
def sign_drafts(
    folder: Folder,
    *,
    key: Annotated[Path, typer.Option(help="Private key.")],
    add: Annotated[list[Path] | None, typer.Option(help="Archive to release first. Repeatable.")] = None,
    min_app: Annotated[str, typer.Option(help="The oldest application that may run it.")] = appliance.__version__,
    plain: Plain = False,
) -> None:
    """Sign what waits for this key; with enough signatures it is published in the folder."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", min_app):
        raise typer.BadParameter("give three numbers, as 1.0.0", param_hint="--min-app")
    signer = _signer(key, plain=plain)
    for archive in add or ():
        repository.add(folder, archive, _listing(archive, min_app), now=utc_now())
    _tell_waiting(sign(folder, signer))


@app.command("export")
def export_stick(
    folder: Folder,
    stick: Annotated[Path, typer.Argument(help="Where the stick is mounted.")],
    *,
    key: Annotated[list[Path], typer.Option(help="Private key of snapshot or timestamp. Repeatable.")],
    days: Annotated[int, typer.Option(help="How long devices take the stick.", min=1)] = STICK_LIFETIME.days,
    plain: Plain = False,
) -> None:
    """Put the release on a stick, signed anew. What was on the stick of earlier releases is replaced."""
    signers = [_signer(one, plain=plain) for one in key]
    out = export(folder, stick, signers, now=utc_now(), lifetime=timedelta(days=days))
    plain_console().print(f"{out} is whole. Eject the stick before it is pulled out.")


def _listing(archive: Path, min_app: str) -> Listing:
    """What an archive is, as it lies there."""
    with TemporaryDirectory(prefix="listed-") as scratch:
        folder = Path(scratch) / "release"
        unpack(archive, folder)
        return describe(load_package(folder / PACKAGE), min_app=min_app, golden=(folder / GOLDEN).is_dir())


def _keyring(root: Sequence[Path], threshold: int, targets: Path, snapshot: Path, timestamp: Path) -> Keyring:
    return Keyring(
        root=tuple(keys.load_public(path) for path in root),
        threshold=threshold,
        targets=keys.load_public(targets),
        snapshot=keys.load_public(snapshot),
        timestamp=keys.load_public(timestamp),
    )


def _signer(path: Path, *, plain: bool) -> CryptoSigner:
    return keys.load_signer(path, None if plain else _passphrase(path))


def _passphrase(path: Path, *, new: bool = False) -> str:
    """From the environment where it stands there, for scripts; else asked for."""
    if (given := os.environ.get(_VARIABLE)) is not None:
        return given
    return str(typer.prompt(f"Passphrase of {path}", hide_input=True, confirmation_prompt=new))


def _tell_waiting(drafts: Sequence[Waiting]) -> None:
    tell = plain_console().print
    for draft in drafts:
        tell(
            f"{draft.role} {draft.version} waits: signed by {len(draft.signed)}, may be signed by "
            f"{', '.join(key[:8] for key in draft.unsigned)}"
        )
    if not drafts:
        tell("Nothing waits for a signature.")
