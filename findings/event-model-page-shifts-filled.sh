#!/usr/bin/env bash
# Packing events into a page with event-model 1.24.0 moves `filled` flags from one event to another when not every event names the same keys.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check event-model==1.24.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys

import event_model

run = event_model.compose_run()
keys = {"image": {"source": "sim", "dtype": "array", "shape": [4, 4], "external": "FILESTORE:"}}
stream = run.compose_descriptor(name="primary", data_keys=keys)


def event(number, filled):
    return stream.compose_event(
        data={"image": f"datum/{number}"}, timestamps={"image": float(number)}, filled=filled, seq_num=number
    )


# Event 2 does not say whether its image is filled, which the schema leaves open.
events = [event(1, {"image": False}), event(2, {}), event(3, {"image": "datum/3"}), event(4, {"image": False})]
for each in events:
    event_model.schema_validators[event_model.DocumentNames.event].validate(each)
before = [each["filled"] for each in events]
page = event_model.pack_event_page(*events)
after = [each["filled"] for each in event_model.unpack_event_page(page)]
print("event-model", event_model.__version__)
print("filled, before:", before)
print("filled, after pack_event_page and unpack_event_page:", after)
moved = after == [{"image": False}, {"image": "datum/3"}, {"image": False}, {}]
if moved:
    print("The flag of event 3 is now event 2's, that of event 4 is event 3's, and event 4 has none. Nothing is raised.")
sys.exit(0 if moved else 1)
PYTHON
