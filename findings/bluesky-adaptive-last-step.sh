#!/usr/bin/env bash
# bluesky-adaptive 1.0.0: the run of `optimize` lacks the step that reached the goal; that of `optimize_in_run` has it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check bluesky-adaptive==1.0.0 bluesky==1.15.1 ophyd==1.11.2 \
    event-model==1.24.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys
from importlib.metadata import version

from bluesky import RunEngine
from bluesky_adaptive.plans import optimize, optimize_in_run
from bluesky_adaptive.protocols import OptimizationProblem
from ophyd.sim import SynAxis, SynSignal

x = SynAxis(name="x")
height = SynSignal(name="height", func=lambda: 10.0 - abs(x.position - 3.0))


class UpStairs:
    """Go up one step at a time, until the outcome is 10."""

    def __init__(self):
        self.best = {"height": -1.0}
        self.next = 0

    def suggest(self, num_points=None):
        self.next += 1
        return [{"_id": self.next, "x": float(self.next)}]

    def ingest(self, points):
        self.best = max([self.best, *points], key=lambda point: point["height"])

    def get_best_points(self):
        return [(self.best["_id"], {"x": float(self.best["_id"])}, self.best)]

    def should_stop(self):
        return self.best["height"] >= 10, "reached 10"


def steps(plan):
    optimizer = UpStairs()
    problem = OptimizationProblem(
        optimizer=optimizer,
        actuators=[x],
        sensors=[height],
        evaluation_function=lambda uid, suggestions: [{"_id": each["_id"], "height": float(height.get())} for each in suggestions],
    )
    runs, streams, written = {}, {}, []

    def collect(name, document):
        if name == "start":
            runs[document["uid"]] = document["plan_name"]
        elif name == "descriptor":
            streams[document["uid"]] = runs[document["run_start"]], document["name"]
        elif name == "event" and streams[document["descriptor"]] in (("optimize", "primary"), ("optimize_in_run", "optimization")):
            written.append({key: value for key, value in document["data"].items() if key in ("x", "height")})

    RunEngine()(plan(problem, iterations=10), collect)
    return optimizer.get_best_points(), written


print("bluesky-adaptive", version("bluesky-adaptive"))
counted = {}
for plan in (optimize, optimize_in_run):
    (best,), written = steps(plan)
    counted[plan.__name__] = len(written)
    print(f"{plan.__name__}: the best point is x = {best[1]['x']} with {best[2]['height']}, found in step {best[0]}; its stream has {written}")
print("Nothing is raised or logged as a warning: who reads the run of `optimize` later does not find the best point.")
sys.exit(0 if counted == {"optimize": 2, "optimize_in_run": 3} else 1)
PYTHON
