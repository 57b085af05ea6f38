"""The report page of a drawn project: complete, self-contained, well-formed, the same every time, and working in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest

from poseline.artifacts import Layout
from poseline.config import load_params
from poseline.errors import ArtifactError
from poseline.stages import compare, report

VOID = {"meta", "link", "img", "br", "hr", "input"}
SCORES = ("coco", "coco_detections", "mpii", "posetrack")
MAX_BYTES = 3_000_000


class Page(HTMLParser):
    """The elements of a page; an end tag that closes nothing or the wrong element is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}> at line {self.getpos()[0]}"
        self.open.pop()

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture
def copied(finished: Path) -> Path:
    """A copy of a project with every file that the report reads."""
    return finished


def write_page(folder: Path, tiny: tuple[str, ...], *more: str) -> str:
    report.run(load_params(folder / "params.yaml", [*tiny, *more]), Layout(Path()))
    return (folder / "reports/index.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_self_contained_and_accessible(copied: Path, tiny: tuple[str, ...]) -> None:
    text = write_page(copied, tiny)
    assert len(text.encode()) <= MAX_BYTES
    page = Page(text)
    assert page.open == []
    images = page.of("img")
    assert len(images) >= 3
    for image in images:
        assert image["alt"]
        assert (image["src"] or "").startswith("data:image/")
    for attributes in page.of("link", "script", "a", "img", "image", "use"):
        for name in ("href", "src", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), attributes
    assert not re.search(r"url\(|@import|https?:|[\"'(]//", re.sub(r"data:image/[^\"]+", "", text))
    ids = [str(attributes["id"]) for _, attributes in page.elements if "id" in attributes]
    assert not [name for name, count in Counter(ids).items() if count > 1]
    assert {str(link["href"])[1:] for link in page.of("a")} <= set(ids)
    assert all("scope" in header for header in page.of("th"))
    assert len(page.of("caption")) == len(page.of("table"))
    assert page.of("html") == [{"lang": "en"}]
    assert len(page.of("h1")) == 1
    assert all("aria-label" in svg for svg in page.of("svg"))


def test_every_score_stands_beside_its_protocol(copied: Path, tiny: tuple[str, ...]) -> None:
    text = write_page(copied, tiny)
    cards = re.findall(r'<article class="card">.*?</article>', text, flags=re.DOTALL)
    assert len(cards) == 5
    for card in cards:
        assert ("ground-truth boxes" in card) != ("detector boxes" in card)
        assert "input 32 \u00d7 64 px" in card
        assert "flip test" in card
    pckh = json.loads((copied / "reports/metrics/mpii.json").read_text())["pckh"]
    assert f"{100 * pckh:.1f}<small>%</small>" in text
    for section in ("scores", "learning", "coco", "images", "mpii", "posetrack", "data", "lineage", "reproduce"):
        assert f'<section id="{section}"' in text
    weights = json.loads((copied / "data/model/model.json").read_text())["weights_hash"]
    assert weights in text


def test_the_same_files_give_the_same_bytes(copied: Path, tiny: tuple[str, ...]) -> None:
    first, card = write_page(copied, tiny), (copied / "reports/model_card.md").read_bytes()
    assert write_page(copied, tiny) == first
    assert (copied / "reports/model_card.md").read_bytes() == card


def test_page_and_card_are_the_same_under_every_commit(copied: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone that only repeats the pipeline leaves its tree as it was."""
    first, card = write_page(copied, tiny), (copied / "reports/model_card.md").read_bytes()
    git = ("git", "-C", str(copied), "-c", "user.name=t", "-c", "user.email=t@t")
    for commit in ("one", "two"):
        for arguments in (("init", "-q"), ("add", "params.yaml"), ("commit", "-q", "--allow-empty", "-m", commit)):
            subprocess.run([*git, *arguments], check=True)
        monkeypatch.setenv("DVC_EXP_NAME", commit)
        (copied / "dvc.lock").write_text(f"schema: '2.0'\nstages: {{mini: {{cmd: x, outs: [{{path: data/mini, md5: {commit}}}]}}}}\n")
        assert write_page(copied, tiny) == first
        assert (copied / "reports/model_card.md").read_bytes() == card
        assert subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout[:7] not in first


def test_what_the_parameters_left_out_is_left_out_with_a_word(copied: Path, tiny: tuple[str, ...]) -> None:
    for name in ("mpii", "posetrack"):
        (copied / f"reports/metrics/{name}.json").write_text(json.dumps({"enabled": False, "protocol": {"benchmark": name}}))
    text = write_page(copied, tiny, "report.images=0")
    assert "without poses of that kind: mpii, posetrack" in text
    assert '<section id="mpii"' not in text
    assert not Page(text).of("img")
    assert "without poses of that kind: mpii, posetrack" in (copied / "reports/model_card.md").read_text()


def test_the_model_card_has_scores_data_limits_and_licence(copied: Path, tiny: tuple[str, ...]) -> None:
    write_page(copied, tiny)
    card = (copied / "reports/model_card.md").read_text()
    boxes = ("ground-truth boxes", "detector boxes (box AP")
    for wanted in ("## Intended use", "synthetic people", *boxes, "## Limits", "Apache-2.0", "poseline export"):
        assert wanted in card, wanted


def test_a_missing_score_names_the_stage_that_makes_it(copied: Path, tiny: tuple[str, ...]) -> None:
    (copied / "reports/metrics/mpii.json").unlink()
    with pytest.raises(ArtifactError, match="poseline score mpii"):
        write_page(copied, tiny)
    assert not (copied / "reports/index.html").exists()


def test_several_runs_are_set_side_by_side(copied: Path, tiny: tuple[str, ...]) -> None:
    shutil.copytree(copied / "reports", copied / "other/reports")
    path = copied / "other/reports/metrics/mpii.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "protocol": {**values["protocol"], "flip": False}}))
    result = compare.write_page([".", "other"], load_params(copied / "params.yaml", tiny), Layout(Path()))
    text = (copied / "reports/compare.html").read_text()
    assert result["runs"] == 2
    assert Page(text).open == []
    assert text.count("must not be ranked against each other") == 1
    assert "They differ in flip test: no, yes." in text


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if found is None:
        pytest.skip("no Chromium or Chrome here to open the page in")
    return found


def browse(browser: str, page: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    profile = page.parent / "profile"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars",
        f"--user-data-dir={profile}", "--enable-logging=stderr", *arguments, page.resolve().as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)


PROBE = """<script>
window.addEventListener("load", function () {
  var root = document.documentElement, button = document.getElementById("theme");
  function ground() { return getComputedStyle(document.body).backgroundColor; }
  var seen = [];
  for (var i = 0; i < 3; i++) { button.click(); seen.push((root.getAttribute("data-theme") || "auto") + " " + ground()); }
  root.setAttribute("data-seen", seen.join("|"));
  root.setAttribute("data-width", window.innerWidth);
  root.setAttribute("data-overflow", root.scrollWidth - root.clientWidth);
});
</script></body>"""


def test_the_page_works_in_a_browser_at_the_width_of_a_phone(browser: str, copied: Path, tiny: tuple[str, ...]) -> None:
    probed = copied / "probed.html"
    probed.write_text(write_page(copied, tiny).replace("</body>", PROBE), encoding="utf-8")
    done = browse(browser, probed, "--dump-dom", "--window-size=390,844")
    assert "CONSOLE" not in done.stderr, done.stderr
    assert 'data-ready="yes"' in done.stdout
    found = {name: re.search(rf'data-{name}="([^"]*)"', done.stdout) for name in ("seen", "width", "overflow")}
    seen, width, overflow = (match[1] if match else "" for match in found.values())
    themes = dict(entry.split(" ", 1) for entry in seen.split("|"))
    assert set(themes) == {"light", "dark", "auto"}
    assert themes["light"] != themes["dark"]
    assert int(width) <= 500
    assert overflow == "0"


def test_a_screenshot_shows_a_page_and_dark_is_dark(browser: str, copied: Path, tiny: tuple[str, ...]) -> None:
    text = write_page(copied, tiny)
    choice = 'var theme = order.indexOf(stored()) >= 0 ? stored() : "auto";'
    assert choice in text
    brightness = {}
    for theme in ("light", "dark"):
        page, image = copied / f"{theme}.html", copied / f"{theme}.png"
        page.write_text(text.replace(choice, f'var theme = "{theme}";'), encoding="utf-8")
        browse(browser, page, f"--screenshot={image}", "--window-size=1280,2000")
        pixels = cv2.imread(str(image))
        assert pixels.std() > 15
        brightness[theme] = pixels.mean()
    assert brightness["light"] > 180
    assert brightness["dark"] < 80
