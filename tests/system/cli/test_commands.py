import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from bluesky_xtag.cli import app

FOR_PIXELS = ("tensorflow", "keras", "numba", "cv2", "ophyd", "matplotlib", "pyFAI", "sklearn", "scipy", "databroker")
HEAVY = ("tensorflow", "keras", "tiled", "databroker", "bluesky", "ophyd", "matplotlib", "pyFAI", "pandas", "h5py")


@pytest.fixture
def xtag():
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "labelled.h5"
    rng = np.random.default_rng(1)
    with h5py.File(path, "w") as file:
        file.attrs["tags"] = ["empty", "beamstop"]
        for number, truth in enumerate(([1, 0], [0, 1], [0, 0])):
            frame = file.create_dataset(f"frame{number}", data=rng.poisson(1.0, (60, 50)).astype(np.int32))
            frame.attrs["truth"] = truth
    return path


def test_every_command_is_listed_and_nothing_heavy_is_imported_for_it():
    code = (
        "import sys; from typer.testing import CliRunner; from bluesky_xtag.cli import app;"
        "print(CliRunner().invoke(app, ['--help']).output);"
        f"print('imported:', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in ("demo", "train", "simulate", "evaluate", "info", "bench"))
    assert done.stdout.splitlines()[-1].strip() == "imported:"


def test_a_wrong_frames_file_ends_with_status_2_and_names_the_file_and_the_remedy(xtag, tmp_path):
    missing = xtag("demo", "--frames", tmp_path / "missing.h5")
    assert missing.exit_code == 2
    assert f"there is no file {tmp_path / 'missing.h5'}: name an HDF5 file" in missing.output
    (tmp_path / "text.h5").write_text("no HDF5")
    foreign = xtag("demo", "--frames", tmp_path / "text.h5")
    assert foreign.exit_code == 2
    assert "text.h5 cannot be read as HDF5" in foreign.output
    assert "Traceback" not in missing.output + foreign.output


def test_a_place_that_cannot_hold_the_picture_is_named_before_anything_starts(xtag, tmp_path):
    result = xtag("demo", "--points", 1, 1, "--picture", tmp_path / "nowhere" / "tags.png")
    assert result.exit_code == 2
    assert f"there is no directory {tmp_path / 'nowhere'}" in result.output


def test_a_missing_model_ends_with_status_1_and_names_it(xtag, tmp_path):
    result = xtag("info", "--model", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert f"{tmp_path / 'nowhere' / 'card.json'} is missing" in result.output


def test_info_tells_the_model_its_tags_and_the_device(xtag):
    result = xtag("info")
    assert result.exit_code == 0, result.output
    for word in ("bluesky_xtag", "tensorflow", "device", "held-out mAP", "ring", "halo", "threshold"):
        assert word in result.output


def test_info_without_the_device_says_the_same_but_for_the_device(xtag):
    whole, quick = xtag("info"), xtag("info", "--no-device")
    assert quick.exit_code == 0, quick.output
    assert quick.output.splitlines() == [line for line in whole.output.splitlines() if not line.startswith("device ")]
    assert len(quick.output) < len(whole.output)


@pytest.mark.parametrize(
    ("arguments", "says", "heavy"),
    [
        (("info", "--no-device"), "threshold", HEAVY),
        (("correct", "nowhere", "7", "3", "--add", "ring", "--by", "ab"), "there is no catalogue", FOR_PIXELS),
        (("review", "nowhere"), "there is no catalogue", FOR_PIXELS),
    ],
)
def test_commands_that_answer_at_once_import_nothing_that_takes_long(arguments, says, heavy):
    code = (
        "import sys; from typer.testing import CliRunner; from bluesky_xtag.cli import app;"
        f"print(CliRunner().invoke(app, {list(arguments)!r}).output);"
        "print('imported:', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    output, _, imported = done.stdout.rpartition("imported:")
    assert says in output and set(imported.split()) & set(heavy) == set()


def test_simulated_frames_can_be_evaluated(xtag, tmp_path):
    frames = tmp_path / "simulated.h5"
    asked = ("simulate", frames, "-n", 3, "--seed", 5, "--workers", 1, "--nuisances", "gaps, beamstop")
    done = xtag(*asked)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == str(frames)
    with h5py.File(frames) as file:
        assert len(file) == 3 and file.attrs["nuisances"] == "beamstop,gaps"
    again = xtag(*asked)
    assert again.exit_code == 2
    assert f"{frames} exists: choose another name" in again.output
    figures = tmp_path / "figures.json"
    assert xtag("evaluate", frames, "--json", figures).exit_code == 0
    assert json.loads(figures.read_text())["frames"] == 3


def test_frames_that_are_left_out_are_not_simulated(xtag, tmp_path):
    frames = tmp_path / "simulated.h5"
    done = xtag("simulate", frames, "-n", 3, "--workers", 1, "--leave-out", 0, "--leave-out", 2)
    assert done.exit_code == 0, done.output
    with h5py.File(frames) as file:
        assert list(file) == ["000001"] and list(file.attrs["left_out"]) == [0, 2]


def test_what_cannot_be_simulated_or_drawn_is_named(xtag, tmp_path):
    fog = xtag("simulate", tmp_path / "fog.h5", "--nuisances", "gaps,fog")
    assert fog.exit_code == 2 and "no nuisance fog; known: exposure" in fog.output
    nowhere = xtag("gallery", tmp_path / "nowhere" / "gallery.png")
    assert nowhere.exit_code == 2 and f"no directory {tmp_path / 'nowhere'}" in nowhere.output


def test_too_few_frames_to_adapt_to_are_refused(xtag, labelled, tmp_path):
    result = xtag("adapt", labelled, "--out", tmp_path / "adapted")
    assert result.exit_code == 2
    assert f"{labelled} holds 3 labelled frames, but at least 10 are needed" in result.output
    assert not (tmp_path / "adapted").exists()


def test_a_missing_model_to_start_from_is_named(xtag, tmp_path):
    result = xtag("train", "--start", tmp_path / "nowhere", "--out", tmp_path / "more")
    assert result.exit_code == 1
    assert f"{tmp_path / 'nowhere' / 'card.json'} is missing" in result.output
    assert not list(tmp_path.iterdir())


def test_evaluate_prints_figures_and_writes_them_as_json_and_as_a_page(xtag, labelled, tmp_path):
    result = xtag("evaluate", labelled, "--json", tmp_path / "figures.json", "--html", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    assert "beamstop" in result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["frames"] == 3
    assert set(figures["tags"]) == {"empty", "beamstop"}
    assert "labelled.h5" in (tmp_path / "page.html").read_text()


def test_robustness_is_measured_without_a_file(xtag, tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # test_robustness.py measures in several processes
    outputs = "--json", tmp_path / "robustness.json", "--picture", tmp_path / "robustness.png"
    result = xtag("robustness", "-n", 1, "--seed", 3, *outputs)
    assert result.exit_code == 0, result.output
    assert "read noise" in result.output
    told = json.loads((tmp_path / "robustness.json").read_text())
    assert told["frames"] == 1 and len(told["curves"]) > 20
    assert (tmp_path / "robustness.png").stat().st_size > 10_000


def test_a_page_that_has_no_place_is_named_before_anything_is_scored(xtag, labelled, tmp_path):
    result = xtag("evaluate", labelled, "--html", tmp_path / "nowhere" / "page.html")
    assert result.exit_code == 2 and f"there is no directory {tmp_path / 'nowhere'}" in result.output


def test_tensorflows_notes_stay_off_the_terminal_and_other_words_pass():
    code = (
        "import os; from bluesky_xtag.model import without_build_notes\n"
        "with without_build_notes():\n"
        "    os.write(2, b'I0000 00:00:1795400371.445008   14464 port.cc:153] oneDNN is on\\n')\n"
        "    os.write(2, b'E0000 00:00:1795400371.445008   14464 cuda.cc:52] trouble\\nbare words')\n"
        "os.write(2, b' after\\n')\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stderr.splitlines() == ["E0000 00:00:1795400371.445008   14464 cuda.cc:52] trouble", "bare words after"]


def test_a_replay_that_is_stopped_says_how_to_go_on(xtag, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("bluesky_xtag.replay.tag_files", stopped)
    result = xtag("tag-files", tmp_path / "*.h5", "--out", tmp_path / "tags.csv")
    assert result.exit_code == 130
    assert "stopped; the same command goes on from there" in result.output
