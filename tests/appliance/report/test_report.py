"""What the page says, for every kind of slide."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from appliance.records import Outcome
from appliance.report import FindingPicture, OtherPicture, ReportData, ReportError, render_report
from appliance.report.text import words
from appliance.report.wording import headline

from . import samples

CATEGORIES = ("ND", "NFM", "AUS", "SFM", "MAL", "negative", "confirm", "scanty", "1+", "2+", "3+", "unsatisfactory")
VOID = {"meta", "img", "br", "hr", "link", "input"}
NASTY = '</style><script>alert("1")</script>&\'"\\'


class Page(HTMLParser):
    """Tags, attributes and text of a page; complains when tags do not pair."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def serous() -> ReportData:
    return samples.serous()


def with_category(data: ReportData, category: str) -> ReportData:
    return replace(data, verdict=replace(data.verdict, category=category, title=f"Title of {category}"))


@pytest.mark.parametrize("build", [samples.serous, samples.sputum, samples.unsatisfactory])
def test_page_is_well_formed_and_stands_alone(build: object) -> None:
    html = render_report(build())  # type: ignore[operator]
    page = Page(html)
    assert page.named("html") == [{"lang": "en"}]
    assert not page.named("script")
    assert not page.named("link")
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    assert all((img["src"] or "").startswith("data:image/") and img["alt"] for img in page.named("img"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    used = {i for _, a in page.tags for i in (a.get("aria-labelledby") or "").split()}
    assert used <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert "Research use only" in page.text
    assert "Not for diagnosis" in page.text


def test_page_names_who_what_and_how(serous: ReportData) -> None:
    text = Page(render_report(serous)).text
    run = serous.run
    for word in (run.accession, run.run_id, run.backend, run.engine, run.onnx_sha256[:12], run.settings_sha256[:12]):
        assert word in text
    verdict = serous.verdict
    for word in (verdict.table, verdict.operating_point, headline(verdict), *verdict.reasons):
        assert word in text
    count = verdict.counts["malignant"]
    assert f"{count.low:.0f} to {count.high:.0f}" in text
    assert "Published risk of malignancy in this category" in text
    assert "Received by the hub" in text
    assert "2026-11-23 08:18 UTC" in text


def test_other_table_and_provisional_grade_are_said() -> None:
    text = Page(render_report(samples.sputum())).text
    assert "The same counts in other tables" in text
    assert "In the CDC table" in text
    assert samples.sputum().verdict.also["CDC"] in text
    assert "Not yet confirmed by the hub" in text


def test_fields_that_were_not_needed_do_not_look_missing() -> None:
    run = samples.run_of("afb", 189)
    fields = samples.fields_of(run, 16, 60, rate=150.0, label="afb", seed=5)
    data = samples.judged(run, fields, samples.AFB_POINT, most=3, seed=6)
    assert data.verdict.stopped_early
    page = render_report(data)
    assert "60 of 189 planned fields were captured, and the others were not needed" in page
    assert "Not needed <strong>129</strong>" in page
    assert "Reading ended early, after 60 of 189 planned fields: 3+ is certain." in page
    assert "Not captured" not in page
    assert "incomplete" not in page


def test_fields_that_are_missing_still_do(serous: ReportData) -> None:
    page = render_report(serous)
    assert "Not captured <strong>4</strong>" in page
    assert "not needed" not in page


def test_provisional_is_marked(serous: ReportData) -> None:
    assert not serous.verdict.provisional
    assert "Provisional" not in Page(render_report(serous)).text
    provisional = replace(serous, verdict=replace(serous.verdict, provisional=True, flags=("provisional", "rescan")))
    text = Page(render_report(provisional)).text
    assert text.count("Provisional") == 2
    assert "Rescan" in text


def test_text_from_outside_is_escaped(serous: ReportData) -> None:
    run = replace(serous.run, accession=NASTY, slide=NASTY, operator=NASTY, extra={"note": NASTY})
    verdict = replace(serous.verdict, title=NASTY, reasons=(NASTY,), flags=(NASTY,))
    fields = [replace(f, reason=NASTY, counts={NASTY: 1}) for f in serous.fields]
    html = render_report(replace(serous, run=run, verdict=verdict, fields=fields, receipt=NASTY))
    page = Page(html)
    assert "alert(" not in html.replace("alert(&#34;1&#34;)", "")
    assert not page.named("script")
    assert len(page.named("style")) == 1
    assert NASTY in page.text


@pytest.mark.parametrize("category", [*CATEGORIES, "something new"])
def test_every_category_has_icon_and_word(serous: ReportData, category: str) -> None:
    page = Page(render_report(with_category(serous, category)))
    assert f"Title of {category}" in page.text
    assert any(attrs.get("class") == "icon" for attrs in page.named("svg"))
    assert re.search(r"Negative|Positive|Atypical|Suspicious|confirmed|no result|For review", page.text)


@pytest.mark.parametrize("category", ["unsatisfactory", "ND"])
def test_no_result_never_looks_negative(serous: ReportData, category: str) -> None:
    unread = render_report(with_category(serous, category))
    negative = render_report(with_category(serous, "NFM"))
    assert 'class="verdict unread"' in unread
    assert 'class="verdict negative"' in negative
    assert "This is not a negative result" in unread
    assert "This is not a negative result" not in negative


def test_a_slide_without_fields_or_pictures(serous: ReportData) -> None:
    text = Page(render_report(replace(serous, fields=(), pictures=()))).text
    assert "No field was recorded" in text
    assert "There is no picture of a finding" in text


@pytest.mark.parametrize("kept", [1, 3, 4])
def test_few_fields(serous: ReportData, kept: int) -> None:
    text = Page(render_report(replace(serous, fields=serous.fields[:kept], pictures=()))).text
    assert ("Fewer than four fields" in text) == (kept < 4)


def test_same_data_same_page_in_any_order_of_fields(serous: ReportData) -> None:
    shuffled = list(serous.fields)
    random.Random(3).shuffle(shuffled)
    assert render_report(serous) == render_report(samples.serous()) == render_report(replace(serous, fields=shuffled))


def test_map_shows_every_field_and_its_outcome() -> None:
    data = samples.sputum()
    page = Page(render_report(data))
    cells = [a for a in page.named("rect") if re.match(r"(u\d|b|f)( g)?$", a.get("class") or "") and a["width"] != "26"]
    drawn = [c for c in cells if c.get("height") == str(round(data.run.field_height_um))]
    assert len(drawn) == len(data.fields)
    assert sum((c["class"] or "").startswith("f") for c in drawn) == data.verdict.fields.failed
    assert sum((c["class"] or "").startswith("b") for c in drawn) == data.verdict.fields.blank
    failed = next(f for f in data.fields if f.outcome is Outcome.FAILED)
    assert f"Field {failed.index}, failed: {words(failed.reason)}" in page.text
    assert sum((c["class"] or "").endswith(" g") for c in drawn) == len(data.pictures)


def test_map_counts_only_the_labels_asked_for(serous: ReportData) -> None:
    fields = [replace(f, counts={**f.counts, "lymphocyte": 100}) for f in serous.fields]
    text = Page(render_report(replace(serous, fields=fields))).text
    assert f"(Malignant): {serous.verdict.counts['malignant'].n} in all" in text
    assert "100 Lymphocyte" in text


def test_thousand_fields_stay_small() -> None:
    html = render_report(samples.serous(count=1100, columns=40, most=0))
    assert len(html.encode()) < 400_000


def test_a_picture_of_unknown_kind_is_refused(serous: ReportData) -> None:
    picture = replace(serous.pictures[0], image=b"GIF89a")
    assert isinstance(picture, FindingPicture)
    with pytest.raises(ReportError, match="neither JPEG nor PNG"):
        render_report(replace(serous, pictures=[picture]))


def test_a_finding_seen_in_two_planes_shows_both_and_says_how_probable_it_is_in_either(serous: ReportData) -> None:
    first, *rest = serous.pictures
    other = OtherPicture(rest[0].image, 2991.25, 0.31)
    page = Page(render_report(replace(serous, pictures=[replace(first, other=other), *rest])))
    assert len(page.named("img")) == len(Page(render_report(serous)).named("img")) + 1
    assert "Z 2\u202f991.2 µm: probability 0.31 there" in page.text
    assert "seen in two planes; the object counts once" in page.text
    assert "two planes" not in Page(render_report(serous)).text
    unseen = replace(first, other=replace(other, probability=None))
    assert "not found there" in Page(render_report(replace(serous, pictures=[unseen, *rest]))).text
