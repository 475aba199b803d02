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
JPEG_QUALITY = 82


def shoot(page: Page, path: Path, **options: Any) -> None:
    page.screenshot(path=path, type="jpeg", quality=JPEG_QUALITY, **options)
    print(path, path.stat().st_size)


def shoot_a_verdict(page: Page, path: Path) -> None:
    """A picture with a person in it who was judged, before and after it is taken: that is what the page is for."""
    for _ in range(60):
        page.wait_for_selector(SURE, timeout=180_000)
        page.wait_for_timeout(1200)  # counts and tiles follow the picture within a second
        shoot(page, path)
        if page.locator(SURE).count():
            return
    raise SystemExit("nobody stayed in view long enough; is the machine busy?")


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
        page.locator("#try").screenshot(path=folder / "try-it.jpg", type="jpeg", quality=JPEG_QUALITY)
        camera.frames = frames
        page.wait_for_selector('#visits li[data-type="end"] img >> nth=2', timeout=180_000)
        page.evaluate("document.getElementById('history').scrollIntoView()")
        page.wait_for_timeout(1500)
        shoot(page, folder / "history.jpg")
    camera.frames = lingers(frames, 142)
    with page_of(browser, url, **PHONE) as (page, _):
        shoot_a_verdict(page, folder / "phone.jpg")
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
