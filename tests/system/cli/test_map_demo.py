"""`xtag map`, and its live map."""

import io
import math
import re

import cv2
import pytest
from rich.console import Console
from support.demos import demo_here

from bluesky_xtag.cli.demo.map_demo import RASTER, LiveMap


def test_the_map_is_drawn_and_compared_with_a_raster(tmp_path, packaged_model):
    done = demo_here(tmp_path, "--max-points", "20", "--picture", "map.png", command="map")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "▀" in done.stdout
    assert re.search(r"a raster +1681 frames \(41 x 41\), \d+ times as many", done.stdout)
    assert "all equal when computed again from the catalogue" in done.stdout
    picture = cv2.imread(str(tmp_path / "map.png"))
    assert min(picture.shape[:2]) > 400 and picture.std() > 20


def decision(**columns):
    data = {"decision_status": "ok", "decision_p": 0.9, "decision_action": "move"}
    return "event", {"descriptor": "d", "data": data | {f"decision_{key}": value for key, value in columns.items()}}


def lines(live):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(live.renderable())
    return console.export_text().splitlines()


def test_the_live_map_follows_the_decisions(caplog):
    live = LiveMap("ring", 10.0)
    live("descriptor", {"uid": "d", "name": "decisions"})
    assert len(lines(live)) >= (RASTER + 1) // 2
    assert "0 frames" in lines(live)[-1]
    live(*decision(status="", p=math.nan, to_x=1.0, to_y=2.0))
    live(*decision(to_x=10.0, to_y=0.0))
    live(*decision(status="late", action="repeat", p=math.nan, to_x=10.0, to_y=0.0))
    live(*decision(p=0.1, action="stop", to_x=math.nan, to_y=math.nan))
    assert "2 frames; a raster of 41 x 41 takes 1681: 840 times as many" in lines(live)[-1]
    live("event", {"descriptor": "d", "data": {}})
    assert "could not use a event document" in caplog.text


@pytest.mark.parametrize("name", ["start", "stop"])
def test_the_live_map_takes_any_document(name):
    LiveMap("ring", 10.0)(name, {})
