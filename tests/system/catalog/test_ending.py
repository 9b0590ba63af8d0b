"""The embedded catalogue is closed while other threads ask it: a summary may be on its way when a session ends."""

import os
import subprocess
import sys

SESSION = """
import faulthandler
import logging
import sys
import threading
import time
from bluesky_xtag.catalog import open_catalog

logging.disable()
faulthandler.dump_traceback_later(90, exit=True)
catalog = open_catalog(sys.argv[1])
asked, errors = [0], []

def ask():
    while not errors:
        try:
            len(catalog)
            asked[0] += 1
        except Exception as error:
            errors.append(type(error).__name__)

threads = [threading.Thread(target=ask) for _ in range(4)]
for thread in threads:
    thread.start()
while asked[0] < 40:
    time.sleep(0.01)
catalog.context.close()
print("closed", flush=True)
for thread in threads:
    thread.join(20)
print("ended", not any(thread.is_alive() for thread in threads), bool(errors))
"""


def test_closing_while_others_ask_comes_to_an_end_and_so_do_they(tmp_path):
    for number in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SESSION, str(tmp_path / str(number))],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["closed", "ended", "True", "True"]
