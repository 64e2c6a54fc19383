"""The page in a real browser."""

import json

import browser
import pytest
from PIL import Image
from test_report import attack

from boresight.reports import write

pytestmark = pytest.mark.browser

LAYOUT = """(page) => {
  const root = page.documentElement;
  const tables = [...page.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth);
  return {
    title: page.title, text: page.body.innerText, wide: root.scrollWidth - root.clientWidth, wideTables: tables.length,
    scripts: page.scripts.length, unloaded: [...page.images].filter((image) => !image.naturalWidth).length,
  };
}"""
FILTER = """(page) => {
  const shown = () => [...page.querySelectorAll(".card")].filter((card) => card.offsetHeight > 0);
  const all = shown().length;
  page.querySelector('.filter button[data-kind="worse"]').click();
  const worse = shown().map((card) => card.dataset.kind);
  page.querySelector('.filter button[data-kind=""]').click();
  return { all, worse, again: shown().length };
}"""


@pytest.fixture(autouse=True)
def _needs_a_browser():
    browser.require()


@pytest.mark.parametrize("width", [1366, 800, 390])
def test_nothing_overflows_and_nothing_is_logged(folder, width):
    found, console = browser.measure(write(folder), LAYOUT, width=width)
    assert console == []
    assert found["wide"] == 0
    assert found["unloaded"] == 0
    assert "False mentions (CHAIR-i)" in found["text"]
    assert "mdpo lowers" in found["text"]
    if width == 1366:
        assert found["wideTables"] == 0


def test_the_filter_shows_one_kind_at_a_time(folder):
    found, _ = browser.measure(write(folder), FILTER)
    assert 0 < len(found["worse"]) < found["all"] == found["again"]
    assert set(found["worse"]) == {"worse"}


def test_hostile_text_neither_runs_nor_asks_the_network(folder, tmp_path):
    log = tmp_path / "net.json"
    found, console = browser.measure(write(attack(folder)), LAYOUT, net_log=log)
    assert found["title"].startswith("</p><script>document.title='owned'")
    assert found["scripts"] == 1
    assert found["wide"] == 0
    assert console == []
    assert json.loads(log.read_text())["events"]
    requests = [e["params"]["url"] for e in json.loads(log.read_text())["events"] if "url" in e.get("params", {})]
    assert [url for url in requests if "evil" in url] == []


def test_a_collapse_fills_the_first_screen_with_red(collapsed, tmp_path):
    """At least 6 % of a 1366 x 768 screen, in the color of nothing else."""
    page = write(collapsed, tmp_path / "report.html")
    image = Image.open(browser.screenshot(page, tmp_path / "shot.png")).convert("RGB")
    assert image.size == (1366, 768)
    red = sum(count for count, color in image.getcolors(1 << 24) if color == (0xB3, 0x20, 0x1D))
    assert red > 0.06 * 1366 * 768


def test_a_page_without_a_collapse_shows_no_red_banner_and_is_not_blank(folder, tmp_path):
    image = Image.open(browser.screenshot(write(folder), tmp_path / "shot.png")).convert("RGB")
    colors = image.getcolors(1 << 24)
    assert len(colors) > 100
    assert sum(count for count, color in colors if color == (0xB3, 0x20, 0x1D)) < 500


def test_the_page_prints_on_a4(folder, tmp_path):
    pdf = browser.print_pdf(write(folder), tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/MediaBox [0 0 594" in pdf or b"/MediaBox [0 0 595" in pdf
