"""Pictures of a run's most probable findings, each beside the same place in another plane where there is one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.records import Finding


@dataclass(frozen=True)
class OtherPlane:
    """The place of a finding as another plane shows it.

    z_um: height of that frame. probability: of the same object there, None where it was not found. picture: JPEG or
    PNG of the same window as the finding's own.
    """

    z_um: float
    probability: float | None
    picture: bytes


def keep_best(
    connection: sqlite3.Connection, run: int, findings: Mapping[int, Finding], pictures: Mapping[int, bytes], most: int
) -> None:
    """Add the pictures of one field by their findings' positions; of all in the run only the `most` probable stay.

    A picture that is there already is replaced.
    """
    best = sorted(pictures, key=lambda position: (-findings[position].probability, position))[:most]
    connection.executemany(
        "INSERT OR REPLACE INTO pictures(run, field, position, probability, picture) VALUES(?, ?, ?, ?, ?)",
        (
            (run, findings[position].field_index, position, float(findings[position].probability), pictures[position])
            for position in best
        ),
    )
    connection.execute(
        "DELETE FROM pictures WHERE run = ? AND id NOT IN "
        "(SELECT id FROM pictures WHERE run = ? ORDER BY probability DESC, field, position LIMIT ?)",
        (run, run, most),
    )


def keep_other(connection: sqlite3.Connection, run: int, field: int, others: Mapping[int, tuple[float, bytes]]) -> None:
    """Put height and picture of another plane beside each picture of the field that was kept; let the others go."""
    connection.executemany(
        "INSERT INTO other_pictures(run, field, position, z_um, picture) "
        "SELECT run, field, position, ?, ? FROM pictures WHERE run = ? AND field = ? AND position = ?",
        ((float(z_um), picture, run, field, position) for position, (z_um, picture) in others.items()),
    )
