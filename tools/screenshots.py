"""Take the pictures of the page that the docs show: a running agent, the sample clip, a real Chromium.

    python tools/screenshots.py docs/screenshots

The only person in them is the one of the sample clip, a public-domain portrait (tools/make_sample.py).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

from playwright.sync_api import Browser, Page

from page_support import Camera, agent, chromium, page_of, sample_frames

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
SURE = '#picture[data-sure="1"]'
COUNTED = '#counts li[data-some="true"]:not(.tx)'
LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
JPEG_QUALITY = 82


def shoot(page: Page, path: Path, **options: Any) -> None:
    page.screenshot(path=path, type="jpeg", quality=JPEG_QUALITY, **options)
    print(path, path.stat().st_size)


def shoot_a_verdict(page: Page, path: Path) -> None:
    """A picture with a person in it who was judged, before and after it is taken: that is what the page is for."""
    for _ in range(60):
        page.wait_for_selector(SURE, timeout=180_000)
        page.wait_for_timeout(1200)  # counts and tiles follow the picture within a second
        before = page.locator(COUNTED).count()
        shoot(page, path)
        if before and page.locator(COUNTED).count() and page.locator(SURE).count():
            return
    raise SystemExit("nobody stayed in view long enough; is the machine busy?")


def around(page: Page, selector: str, margin_px: float = 16) -> dict[str, float]:
    """Where on the whole page an element is, with a margin: left, top, width, height in CSS pixels."""
    return page.locator(selector).evaluate(
        """(e, m) => { const b = e.getBoundingClientRect(); const t = e.firstElementChild.getBoundingClientRect().top;
        return { x: b.x - m, y: t + scrollY - m, width: b.width + 2 * m, height: b.bottom - t + 2 * m }; }""",
        margin_px,
    )


def lingers(frames: list[bytes], first: int) -> list[bytes]:
    """Somebody who steps to and fro, so that a busy machine sees them too."""
    there = frames[first : first + 12]
    return [*there, *there[::-1]]


def look(browser: Browser, url: str, folder: Path, frames: list[bytes], camera: Camera) -> None:
    camera.frames = lingers(frames, 84)
    with page_of(browser, url) as (page, _):
        shoot_a_verdict(page, folder / "desktop.jpg")
        faces = [{"name": f"{n}.jpg", "mimeType": "image/jpeg", "buffer": frames[n]} for n in (30, 90, 148)]
        notes = {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}
        page.set_input_files("#files", [*faces, notes])
        page.wait_for_selector("#results li[data-state=failed]", timeout=180_000)
        shoot(page, folder / "try-it.jpg", full_page=True, clip=around(page, "#try"))
        camera.frames = frames
        for label in LABELS:
            page.wait_for_selector(f'#visits li[data-type="end"][data-label="{label}"] img', timeout=180_000)
        page.evaluate("document.getElementById('history').scrollIntoView()")
        page.wait_for_timeout(1500)
        shoot(page, folder / "history.jpg")
    camera.frames = lingers(frames, 142)
    with page_of(browser, url, **PHONE) as (page, _):
        shoot_a_verdict(page, folder / "phone.jpg")
    camera.frames = lingers(frames, 24)  # beside the statistics
    with page_of(browser, url, color_scheme="dark") as (page, _):
        page.keyboard.press("s")
        shoot_a_verdict(page, folder / "dark.jpg")


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    frames = sample_frames()
    camera = Camera(frames, fps=12)
    camera.plug()
    with tempfile.TemporaryDirectory() as name, chromium() as browser, agent(Path(name), camera.url) as running:
        running.wait("/ready")
        look(browser, running.url, folder, frames, camera)
        with page_of(browser, running.url) as (page, _):
            page.wait_for_selector("#picture[data-frame]")
            camera.unplug()
            page.wait_for_selector("#verdict[data-health=failing]")
            page.wait_for_timeout(800)
            shoot(page, folder / "camera-lost.jpg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
