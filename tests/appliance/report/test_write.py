"""A report is on disk whole, or the earlier one still is."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from appliance.report import ReportError, render_report, write_report

from . import samples


def test_written_as_rendered_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "demo" / "slide" / "report.html"
    assert write_report(samples.unsatisfactory(), path) == path
    write_report(samples.serous(), path)
    assert path.read_text(encoding="utf-8") == render_report(samples.serous())
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_full_disk_leaves_the_earlier_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("earlier")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(ReportError, match="could not be written") as caught:
            write_report(samples.unsatisfactory(), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.remedy
    assert path.read_text() == "earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("name", ["taken/report.html", "folder"])
def test_a_path_that_cannot_be_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ReportError, match="could not be written"):
        write_report(samples.unsatisfactory(), tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "taken"]
