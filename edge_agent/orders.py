"""Commands and reloads, carried out in the loop's own thread between two frames."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

import cv2

from edge_agent.about import info_of
from edge_agent.agent import Agent, Parts
from edge_agent.commands import Order
from edge_agent.config import Config
from edge_agent.errors import MaskwatchError
from edge_agent.lane import Lane
from edge_agent.predictor import FaceMaskPredictor
from edge_agent.privacy import shown

log = logging.getLogger(__name__)

# what is made of these is made once, at the start; until the next one no part of the agent sees their changes
NEEDS_RESTART = ("device", "mqtt", "spool", "http", "record", "privacy", "log")


class Orders:
    """Carries out what comes over MQTT or by SIGHUP. read_config: reads the configuration again, as at the start."""

    def __init__(
        self,
        agent: Agent,
        read_config: Callable[[], Config],
        make_predictor: Callable[[Config], FaceMaskPredictor] = FaceMaskPredictor,
    ) -> None:
        self._agent = agent
        self._make_predictor = make_predictor
        self._read_config = read_config
        self._hung_up = False

    def listen_to_hangup(self) -> None:
        """SIGHUP sets a flag and nothing more."""
        signal.signal(signal.SIGHUP, lambda _number, _frame: setattr(self, "_hung_up", True))

    def obey(self) -> None:
        """Carry out what waits."""
        if self._hung_up:
            self._hung_up = False
            self._reload()
        while (order := self._agent.parts.reporter.next_order()) is not None:
            ok, words = self.carry_out(order)
            self._agent.parts.reporter.answer(order, ok, words)
        self._say_paused()

    def carry_out(self, order: Order) -> tuple[bool, str]:
        """Do it; whether it was done, and in words what was done or what would do."""
        command = order.command
        if command.action == "reload":
            return self._reload()
        lanes = self._agent.parts.lanes
        if command.args.camera is not None and command.args.camera not in lanes:
            return False, f"there is no camera {command.args.camera}; known: {', '.join(lanes)}"
        chosen = list(lanes.values()) if command.args.camera is None else [lanes[command.args.camera]]
        if command.action == "pause":
            return self._pause(chosen, command.args.for_s)
        if command.action == "resume":
            for lane in chosen:
                lane.resume()
            return True, "resumed"
        if command.action == "snapshot":
            return self._snapshot(chosen)
        return self._set_threshold(command.args.threshold)

    def _pause(self, lanes: list[Lane], for_s: float | None) -> tuple[bool, str]:
        for lane in lanes:
            self._agent.end_visits(lane)
            lane.pause(for_s)
        return True, "paused" if for_s is None else f"paused for {for_s:g} s"

    def _say_paused(self) -> None:
        """Each time: a pause may end by itself."""
        self._agent.parts.health.pause([lane.name for lane in self._agent.parts.lanes.values() if lane.is_paused])

    def _snapshot(self, lanes: list[Lane]) -> tuple[bool, str]:
        """Send a picture of each camera, as far as privacy lets it go."""
        parts, sent = self._agent.parts, 0
        for lane in lanes:
            if lane.view.bgr is None:
                continue
            faces = [track.box for track in lane.view.tracks] + list(lane.view.faces)
            picture = shown(lane.view.bgr, faces, parts.config.privacy)
            if picture is None:
                return (
                    False,
                    f"privacy.pictures is {parts.config.privacy.pictures!r}: no whole picture leaves the device",
                )
            done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, parts.config.record.jpeg_quality])
            sent += done and parts.reporter.snapshot(lane.name, jpeg.tobytes())
        if not sent:
            return False, "nothing was sent; set mqtt.snapshots = true, and see whether a camera is online"
        return True, f"sent {sent} pictures"

    def _set_threshold(self, threshold: float | None) -> tuple[bool, str]:
        if threshold is None:
            return False, "args.threshold is missing; give 0 to 1"
        parts = self._agent.parts
        parts.predictor.threshold = threshold
        for lane in parts.lanes.values():
            lane.set_threshold(threshold)
        return True, f"threshold is {threshold:g}"

    def _reload(self) -> tuple[bool, str]:
        """Read the configuration again and use it; what is wrong with it leaves the last good one in use."""
        parts = self._agent.parts
        parts.systemd.reloading(True)
        try:
            wanted = self._read_config()
            waiting = [name for name in NEEDS_RESTART if getattr(wanted, name) != getattr(parts.config, name)]
            self._apply(wanted.model_copy(update={name: getattr(parts.config, name) for name in NEEDS_RESTART}))
        except MaskwatchError as error:
            parts.reporter.reload_failed(str(error))
            return False, str(error)
        finally:
            parts.systemd.reloading(False)
        words = "in use" + (f"; restart for changes in {', '.join(waiting)}" if waiting else "")
        log.info("configuration reloaded: %s", words)
        return True, words

    def _apply(self, new: Config) -> None:
        """Everything that can fail comes first; then all of it is put into place."""
        parts, old = self._agent.parts, self._agent.parts.config
        predictor = self._make_predictor(new)
        same = {camera.name for camera in new.camera if camera in old.camera}
        fresh = {
            camera.name: Lane(camera, new, predictor, parts.run_id) for camera in new.camera if camera.name not in same
        }
        for name, lane in fresh.items():
            if name in parts.lanes:
                lane.pause_as(parts.lanes[name])
        kept = same if _judge_alike(parts, new, predictor) else set()
        for lane in parts.lanes.values():
            if lane.name in kept:
                lane.go_on(new, predictor)
                continue
            self._agent.end_visits(lane)
            if lane.name in same:
                lane.configure(new, predictor)
            else:
                lane.source.close()
        self._agent.take_lanes({c.name: fresh.get(c.name) or parts.lanes[c.name] for c in new.camera})
        parts.predictor, parts.config = predictor, new
        parts.recorder.take_labels(predictor.labels)
        parts.web.labels = predictor.labels
        parts.reporter.reloaded(new, info_of(new, predictor))


def _judge_alike(parts: Parts, new: Config, predictor: FaceMaskPredictor) -> bool:
    """Whether people are found, followed and judged as they are now: a visit under way can go on."""
    old, now, then = parts.config, info_of(parts.config, parts.predictor), info_of(new, predictor)
    networks = (now.model, now.detector, now.labels) == (then.model, then.detector, then.labels)
    sections = ("detector", "track", "decide")
    return networks and all(getattr(new, section) == getattr(old, section) for section in sections)
