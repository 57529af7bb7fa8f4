"""Reading a smear table: from a count and a density to a grade."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.assays.model import DensityRow, DensityTable


@dataclass(frozen=True)
class Grade:
    """What a table says.

    min_hpf: high-power fields it asks to be read first (None: it does not say). by_density: whether the density of the
    objects gave the grade.
    """

    name: str
    title: str
    min_hpf: float | None
    by_density: bool = False


def grade(
    table: DensityTable, *, positive: bool, n: int, net: float, per_100_hpf: float, certain: bool = True
) -> Grade:
    """The table's grade.

    positive: whether more was seen than false findings explain. certain: whether that holds on a slide with unusually
    many of them, too; if not, the table's word for few objects is all that is said, whatever their density. n: objects
    counted. net: n less the expected false findings. per_100_hpf: density. Counts are compared rounded, as a person
    counts: a net 2.6 is 3 objects.
    """
    if not positive:
        return Grade(table.none_seen, table.none_title, None)
    if not certain or n < table.few_below or net <= table.few_below - 0.5:
        return Grade(table.few_seen, table.few_title, table.rows[0].min_hpf)
    row = _row(table, per_100_hpf)
    return Grade(row.grade, row.title, row.min_hpf, by_density=True)


def _row(table: DensityTable, per_100_hpf: float) -> DensityRow:
    # Areas are products of rounded lengths: 10 objects in exactly 100 fields must read as 10, not 9.999999999.
    density = round(per_100_hpf, 6)
    return [row for row in table.rows if row.begins_by(density)][-1]


def label(table: DensityTable) -> str:
    """Name and version, as printed on every report."""
    return f"{table.name}, version {table.version}"
