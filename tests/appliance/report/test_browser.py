"""The report in a real browser: nothing fetched, nothing wrong on the console, nothing wider than the screen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.report import ReportData, write_report
from appliance.report.wording import headline

from . import samples

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
HEADINGS = ("Counts", "Quality", "Slide map", "Focus surface", "Top findings", "Failed and blank fields")
SLIDES = {"serous": samples.serous, "sputum": samples.sputum, "unsatisfactory": samples.unsatisfactory}


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Chromium, or a skip that says it is missing."""
    found = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
    if found is None:
        pytest.skip("no Chromium on this machine; install the chromium package to run this test")
    options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=found, args=options)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[ReportData, Path]]:
    folder = tmp_path_factory.mktemp("reports")
    return {name: (data := make(), write_report(data, folder / f"{name}.html")) for name, make in SLIDES.items()}


@pytest.mark.parametrize("width_px", [1280, 420, 320])
@pytest.mark.parametrize("slide", list(SLIDES))
def test_opens_offline(browser: object, reports: dict[str, tuple[ReportData, Path]], slide: str, width_px: int) -> None:
    data, path = reports[slide]
    complaints: list[str] = []
    asked: list[str] = []
    page = browser.new_page(viewport={"width": width_px, "height": 900})  # type: ignore[attr-defined]
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert complaints == []
    assert page.get_by_role("heading", level=1).is_visible()
    for heading in HEADINGS:
        assert page.get_by_role("heading", name=heading, exact=True).is_visible()
    assert page.locator(".verdict").get_by_text(headline(data.verdict), exact=True).is_visible()
    assert page.get_by_text(data.verdict.reasons[0], exact=True).is_visible()
    loaded = page.evaluate("Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))")
    assert loaded == [p.crop_width_px for p in data.pictures]
    assert page.evaluate("document.documentElement.scrollWidth") <= width_px
    page.close()


def test_box_and_scale_bar_lie_on_the_picture(browser: object, reports: dict[str, tuple[ReportData, Path]]) -> None:
    data, path = reports["sputum"]
    page = browser.new_page(viewport={"width": 1280, "height": 900})  # type: ignore[attr-defined]
    page.goto(path.as_uri())
    picture, tile = data.pictures[0], page.locator(".crop").first
    image = tile.locator("img").bounding_box()
    scale = image["width"] / picture.crop_width_px
    box = page.evaluate(
        "e => { const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; }",
        tile.locator("rect.box").element_handle(),
    )
    left, top, width, height = (v * scale for v in picture.box)
    assert box == pytest.approx([image["x"] + left, image["y"] + top, width, height], abs=2.5)
    bar = tile.locator(".length").bounding_box()
    shown_um = float(tile.locator(".length-text").inner_text().removesuffix(" µm"))
    assert bar["width"] / scale * picture.um_per_px == pytest.approx(shown_um, rel=0.02)
    page.close()


def test_text_stands_out_from_its_ground(browser: object, reports: dict[str, tuple[ReportData, Path]]) -> None:
    """WCAG 2.2 AA contrast, 4.5 to 1, for text on plain grounds outside the drawings."""
    measure = """() => {
      const channels = c => (c.match(/[\\d.]+/g) || []).map(Number);
      const light = c => { const [r, g, b] = channels(c).slice(0, 3).map(v => v / 255)
        .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
      const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        const [, , , a = 1] = channels(c); if (a > 0.5) return c; } return 'rgb(255, 255, 255)'; };
      return [...document.querySelectorAll('body *')].filter(e => !e.closest('svg') &&
        [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
          const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
          return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.textContent.trim().slice(0, 40)]; });
    }"""
    for _, path in reports.values():
        page = browser.new_page(viewport={"width": 1280, "height": 900})  # type: ignore[attr-defined]
        page.goto(path.as_uri())
        measured = page.evaluate(measure)
        assert len(measured) > 50
        assert [m for m in measured if m[0] < 4.5] == []
        page.close()


def test_prints_on_a4(browser: object, reports: dict[str, tuple[ReportData, Path]]) -> None:
    _, path = reports["serous"]
    page = browser.new_page()  # type: ignore[attr-defined]
    page.goto(path.as_uri())
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    assert pdf.startswith(b"%PDF-")
    assert 3 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") <= 7
    page.close()
