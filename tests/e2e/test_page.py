"""The page in a real Chromium, with a running agent that watches a real clip."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from page_support import Agent, Camera, agent, chromium, page_of, slow_clip

PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
SOMEBODY = '#picture[data-people]:not([data-people="0"])'
LABELS = ["with_mask", "without_mask", "mask_weared_incorrect"]


@pytest.fixture(scope="module")
def camera(frames: tuple[bytes, ...]) -> Iterator[Camera]:
    camera = Camera(frames)
    camera.plug()
    yield camera
    camera.unplug()


@pytest.fixture(scope="module")
def watching(camera: Camera, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with agent(tmp_path_factory.mktemp("agent"), camera.url) as running:
        running.wait("/ready")
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, watching: Agent) -> Iterator[Page]:
    with page_of(browser, watching.url) as (page, complaints):
        yield page
        assert complaints == []


def stays(frames: tuple[bytes, ...]) -> list[bytes]:
    """Somebody who steps to and fro before the camera and never leaves."""
    there = frames[84:96]
    return [*there, *there[::-1]]


def bright_pixels(page: Page) -> int:
    """Pixels of the canvas in the strong colours that only boxes have."""
    return page.evaluate(
        """() => { const c = document.getElementById("picture"); const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        const tones = [[47, 214, 163], [255, 122, 69], [255, 194, 51], [213, 220, 227]]; let n = 0;
        for (let i = 0; i < d.length; i += 4) if (tones.some((t) => Math.abs(t[0] - d[i]) + Math.abs(t[1] - d[i + 1]) + Math.abs(t[2] - d[i + 2]) < 6)) n += 1;
        return n; }"""  # noqa: E501
    )


def wait_for_boxes(page: Page) -> None:
    """Until the canvas shows boxes; the page's policy forbids the browser's own waiting for an expression."""
    for _ in range(150):
        if bright_pixels(page) > 200:
            return
        page.wait_for_timeout(100)
    raise AssertionError("no box on the picture within 15 seconds")


def test_within_seconds_it_is_clear_that_it_works_what_it_sees_and_what_it_decided(page: Page) -> None:
    expect(page.locator("#verdict")).to_have_attribute("data-health", "ok")
    expect(page.locator("#verdict-title")).to_have_text("Working")
    page.wait_for_selector(SOMEBODY)
    expect(page.locator("#people li").first).to_be_visible()
    assert page.locator("#people li").first.locator(".number").count() == 3
    expect(page.locator("#device")).to_have_text("front-door")


def test_boxes_and_bars_are_on_the_picture_and_go_by_button_and_by_key(page: Page) -> None:
    wait_for_boxes(page)
    page.keyboard.press("p")
    expect(page.locator("#paused")).to_be_visible()
    assert bright_pixels(page) > 200
    page.keyboard.press("b")
    expect(page.locator("#toggle-boxes")).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Bars").click()
    expect(page.locator("#toggle-bars")).to_have_attribute("aria-pressed", "false")
    assert bright_pixels(page) < 50
    page.keyboard.press("b")
    page.keyboard.press("c")
    assert bright_pixels(page) > 200


def test_pause_holds_the_picture_and_goes_on(page: Page) -> None:
    canvas = page.locator("#picture")
    page.wait_for_selector("#picture[data-frame]")
    page.get_by_role("button", name="Pause").click()
    held = canvas.get_attribute("data-frame")
    page.wait_for_timeout(1500)
    assert canvas.get_attribute("data-frame") == held
    page.keyboard.press("p")
    expect(canvas).not_to_have_attribute("data-frame", held or "")


def test_statistics_help_and_theme_have_keys(page: Page) -> None:
    page.wait_for_selector("#picture[data-frame]")
    page.keyboard.press("s")
    expect(page.locator("#figures")).to_contain_text("camera")
    page.keyboard.press("s")
    expect(page.locator("#figures")).to_be_hidden()
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Full screen")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Full screen")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("d")
    first = page.locator("html").get_attribute("data-theme")
    page.keyboard.press("d")
    assert {first, page.locator("html").get_attribute("data-theme")} == {"light", "dark"}


def test_the_keyboard_alone_reaches_the_content_and_the_toggles(page: Page) -> None:
    page.wait_for_selector("#picture[data-frame]")
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert seen[0] == "Skip to the content"
    assert "toggle-boxes" in seen


def test_visits_come_into_history_with_their_picture(page: Page) -> None:
    ended = page.locator('#visits li[data-type="end"]')
    expect(ended.first).to_be_visible(timeout=120_000)
    expect(page.locator("#chart svg")).to_be_visible()
    expect(page.locator("#tiles .card").first).to_contain_text("Compliance, last hour")
    expect(page.locator("#visits img").first).to_be_visible(timeout=60_000)


def test_chosen_pictures_give_results_and_a_bad_one_is_named(
    page: Page, frames: tuple[bytes, ...], tmp_path: Path
) -> None:
    files = [tmp_path / "first.jpg", tmp_path / "broken.jpg", tmp_path / "=odd, name.jpg"]
    files[0].write_bytes(frames[30])
    files[1].write_bytes(b"this is no picture")
    files[2].write_bytes(frames[90])
    page.set_input_files("#files", [str(file) for file in files])
    results = page.locator("#results > li")
    expect(page.locator("#try-words")).to_contain_text("3 done")
    assert [results.nth(i).get_attribute("data-state") for i in range(3)] == ["done", "failed", "done"]
    expect(results.nth(1)).to_contain_text("broken.jpg")
    expect(results.nth(1)).to_contain_text("not a picture")
    expect(results.nth(0).locator("canvas")).to_be_visible()
    assert results.nth(0).get_attribute("data-faces") == "1"
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert [one["image"] for one in saved] == [file.name for file in files]
    assert set(saved[0]["faces"][0]["probabilities"]) == set(LABELS)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert len(rows) == 3
    assert rows[0]["label"] in LABELS
    assert "not a picture" in rows[1]["error"]
    assert rows[2]["image"] == "'=odd, name.jpg"


@pytest.mark.parametrize("place", ["#drop", "#history"])
def test_dropped_pictures_are_looked_at_also_where_they_fall_beside_the_frame(
    page: Page, frames: tuple[bytes, ...], place: str
) -> None:
    transfer = page.evaluate_handle(
        """(files) => { const t = new DataTransfer(); for (const [name, bytes] of files) t.items.add(new File([new Uint8Array(bytes)], name)); return t; }""",  # noqa: E501
        [["dropped.jpg", list(frames[30])], ["empty.jpg", []], ["second.jpg", list(frames[90])]],
    )
    page.dispatch_event(place, "dragover", {"dataTransfer": transfer})
    page.dispatch_event(place, "drop", {"dataTransfer": transfer})
    expect(page.locator("#try-words")).to_have_text("3 done, 2 faces, 1 could not be read.")
    expect(page.locator('#results > li[data-state="failed"]')).to_contain_text("empty.jpg")
    expect(page.locator('#results > li[data-state="done"]').last).to_contain_text("second.jpg")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_device_says_what_it_is_in_lines_that_can_be_read(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for model in ("#classifier", "#detector"):
        for word in ("architecture", "parameters", "trained", "SHA-256"):
            expect(page.locator(model)).to_contain_text(word)
    expect(page.locator("#speed")).to_contain_text("detect")
    for word in ("frames a second", "memory of the agent", "events waiting for the broker"):
        expect(page.locator("#machine")).to_contain_text(word)
    rows = page.locator("#about dd:visible")
    tallest = max(box["height"] for row in rows.all() if (box := row.bounding_box()))
    assert tallest < 80, "no column is squeezed to a letter a line"


def test_a_phone_shows_all_without_scrolling_sideways(browser: Browser, watching: Agent) -> None:
    with page_of(browser, watching.url, **PHONE) as (page, complaints):
        page.wait_for_selector("#picture[data-frame]")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        top = page.locator("#picture").bounding_box()
        assert top is not None
        assert top["y"] + top["height"] < 740, "verdict and picture fit the first screen"
        assert complaints == []


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_no_accessibility_rule_is_broken(
    browser: Browser, watching: Agent, frames: tuple[bytes, ...], look: str
) -> None:
    options = PHONE if look == "phone" else {"color_scheme": look}
    picture = {"name": "face.jpg", "mimeType": "image/jpeg", "buffer": frames[30]}
    broken = {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"broken"}
    with page_of(browser, watching.url, **options) as (page, _):
        page.wait_for_selector(SOMEBODY)
        page.set_input_files("#files", [picture, broken])
        expect(page.locator("#try-words")).to_contain_text("2 done")
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        page.keyboard.press("s")
        page.wait_for_timeout(500)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        page.locator("#help-open").click()
        with_dialog = Axe().run(page)
        assert with_dialog.violations_count == 0, with_dialog.generate_report()


def test_a_camera_that_dies_turns_the_page_red_with_its_reason_and_back(
    browser: Browser, frames: tuple[bytes, ...], tmp_path: Path
) -> None:
    camera = Camera(stays(frames))
    camera.plug()
    with agent(tmp_path, camera.url) as running, page_of(browser, running.url) as (page, complaints):
        expect(page.locator("#verdict")).to_have_attribute("data-health", "ok", timeout=90_000)
        expect(page.locator('#counts li[data-some="true"]')).to_have_count(1)
        camera.unplug()
        expect(page.locator("#verdict")).to_have_attribute("data-health", "failing", timeout=60_000)
        expect(page.locator("#verdict-title")).to_have_text("Not counting")
        expect(page.locator("#verdict-words")).to_contain_text("door")
        expect(page.locator("#stage")).to_have_attribute("data-state", "bad")
        expect(page.locator("#stage-words")).to_contain_text("door is ")
        expect(page.locator('#counts li[data-some="true"]')).to_have_count(0)
        expect(page.locator("#nobody")).to_be_visible()
        expect(page.locator('#visits li:not([data-type="end"])')).to_have_count(0)
        running.wait("/health", 503)
        camera.plug()
        expect(page.locator("#verdict")).to_have_attribute("data-health", "ok", timeout=90_000)
        expect(page.locator("#stage")).to_have_attribute("data-state", "on")
        running.wait("/health", 200)
        assert complaints == []
    camera.unplug()


def test_where_pictures_stay_on_the_device_the_page_counts_and_shows_none(
    browser: Browser, camera: Camera, tmp_path: Path
) -> None:
    with agent(tmp_path, camera.url, "live = false\npredict = false\n") as running:
        running.wait("/live.jpg", 403)
        with page_of(browser, running.url) as (page, complaints):
            expect(page.locator("#stage-words")).to_have_text("The live view is off on this device.")
            expect(page.get_by_role("button", name="Boxes")).to_be_hidden()
            expect(page.locator("#try")).to_be_hidden()
            expect(page.locator("#people li").first).to_be_visible()
            assert complaints == []


def test_an_agent_that_is_gone_leaves_no_picture_that_looks_alive(
    browser: Browser, camera: Camera, tmp_path: Path
) -> None:
    with agent(tmp_path, camera.url) as running, page_of(browser, running.url) as (page, _):
        expect(page.locator("#stage")).to_have_attribute("data-state", "on")
        running.process.kill()
        expect(page.locator("#verdict-title")).to_have_text("No connection to the device")
        expect(page.locator("#verdict")).to_have_attribute("data-health", "failing")
        expect(page.locator("#stage")).to_have_attribute("data-state", "bad")
        expect(page.locator("#stage-words")).to_have_text("No connection to the device")


def test_the_end_of_a_run_shows_its_statistics(browser: Browser, frames: tuple[bytes, ...], tmp_path: Path) -> None:
    clip = slow_clip(tmp_path / "clip.mp4", frames, seconds=20)
    with agent(tmp_path, str(clip), camera="realtime = true") as running, page_of(browser, running.url) as (page, _):
        summary = page.get_by_role("dialog", name="The run is over")
        expect(summary).to_be_visible(timeout=180_000)
        expect(summary).to_contain_text("frames")
        expect(page.locator("#verdict-title")).to_have_text("The agent has stopped")


def test_on_the_network_a_browser_logs_in_first(browser: Browser, camera: Camera, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("correct-horse-battery-staple")
    with agent(tmp_path, camera.url, 'host = "0.0.0.0"\ntoken_file = "token"\n') as running:
        running.wait("/health", 401)
        with page_of(browser, running.url) as (page, _):
            assert page.url.endswith("/login")
            assert Axe().run(page).violations_count == 0
            page.get_by_label("Token").fill("wrong")
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("alert")).to_contain_text("not the device")
            page.get_by_label("Token").fill("correct-horse-battery-staple")
            page.get_by_role("button", name="Log in").click()
            expect(page.locator("#verdict-title")).to_have_text("Working")
            page.wait_for_selector("#picture[data-frame]")
            page.get_by_role("button", name="Log out").click()
            page.wait_for_url("**/login")
            assert "correct-horse" not in (tmp_path / "agent.log").read_text()
