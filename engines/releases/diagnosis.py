"""What TUF's client refuses, said for the person who holds the stick."""

from __future__ import annotations

from typing import Any

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, Root

from engines.releases.clock import Clock
from engines.releases.errors import Refusal, ReleaseRefused
from engines.releases.fetcher import BASE_URL, LIMITS, StickFetcher
from engines.releases.layout import STICK_FOLDER

TUF_ERRORS = (RepositoryError, DownloadError)


def explain_target(error: Exception, fetcher: StickFetcher, length_bytes: int) -> ReleaseRefused:
    """Why one of TUF_ERRORS refused the target that was fetched last and was signed as `length_bytes` long."""
    where = f"{fetcher.last} on {fetcher.stick}"
    if isinstance(error, DownloadHTTPError):
        return _absent(fetcher)
    if fetcher.last_bytes > length_bytes:
        return ReleaseRefused(f"{where} is longer than the {length_bytes} bytes signed.", kind=Refusal.TOO_LARGE)
    if fetcher.last_bytes < length_bytes:
        said = f"{where} ends after {fetcher.last_bytes} of {length_bytes} bytes."
        return ReleaseRefused(said, kind=Refusal.INCOMPLETE)
    return ReleaseRefused(f"{where} is not the file that was signed.", kind=Refusal.TAMPERED)


def explain(error: Exception, fetcher: StickFetcher, root: Root, clock: Clock) -> ReleaseRefused:
    """Why one of TUF_ERRORS refused the metadata that was fetched last; `root` is the newest one accepted.

    TUF's errors do not tell a cut file from an altered one, nor a stranger's file from a genuine one in the wrong
    place, so the file is looked at once more.
    """
    if isinstance(error, DownloadHTTPError):
        return _absent(fetcher)
    path, role = fetcher.last, fetcher.last.split(".")[-2].split("/")[-1]
    try:
        data = fetcher.download_bytes(BASE_URL + path, getattr(LIMITS, f"{role}_max_length"))
        document: Metadata[Any] = Metadata.from_bytes(data)
        if isinstance(error, ExpiredMetadataError):
            first = min((root, document.signed), key=lambda signed: signed.expires)
            return clock.expired(f"The {first.type} on {fetcher.stick}", first.expires)
        why, kind = _misfit(error, document, role, root)
    except TUF_ERRORS:
        too_large = isinstance(error, DownloadLengthMismatchError)
        why = "is longer than it may be" if too_large else "is cut short or damaged"
        kind = Refusal.TOO_LARGE if too_large else Refusal.INCOMPLETE
    return ReleaseRefused(f"{path} on {fetcher.stick} {why}.", kind=kind)


def _absent(fetcher: StickFetcher) -> ReleaseRefused:
    if (fetcher.stick / STICK_FOLDER).exists():
        return ReleaseRefused(f"{fetcher.last} on {fetcher.stick} is missing.", kind=Refusal.INCOMPLETE)
    return ReleaseRefused(f"There is no folder {STICK_FOLDER} on {fetcher.stick}.", kind=Refusal.NO_RELEASE)


def _misfit(error: Exception, document: Metadata[Any], role: str, root: Root) -> tuple[str, Refusal]:
    """What is wrong with a readable document. A new root needs enough of the old keys, and enough of its own."""
    itself = [document.signed] if role == Root.type and isinstance(document.signed, Root) else []
    for delegator in (root, *itself):
        result = delegator.get_verification_result(role, document.signed_bytes, document.signatures)
        if result:
            continue
        if not result.unsigned.keys().isdisjoint(document.signatures):
            return "has been altered: a signature does not fit", Refusal.TAMPERED
        signed = f"is signed by {len(result.signed)} of the keys that this device knows"
        return f"{signed}, and needs {result.threshold}", Refusal.WRONG_KEYS
    if isinstance(error, BadVersionNumberError) and role != Root.type:
        return "would take this device back to an older release than it has accepted", Refusal.ROLLED_BACK
    return "is genuine, but of another release than the files beside it", Refusal.MIXED
