import shutil

import numpy as np
import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate.scene import patterns
from bluesky_xtag.simulate.scene.geometry import Geometry
from bluesky_xtag.train.data import Samples, _mirror, _transpose, _upend, generate, load


def test_chunks_are_the_same_however_they_are_made(tmp_path):
    generate(tmp_path / "one", 2, seed=5, workers=1, size=12)
    generate(tmp_path / "two", 2, seed=5, workers=2, size=12)
    one, two = (load(tmp_path / name, 2) for name in ("one", "two"))
    assert len(one) == 24 and one.polar.dtype == np.float16
    np.testing.assert_array_equal(one.polar, two.polar)
    np.testing.assert_array_equal(one.labels, two.labels)


def test_chunks_that_are_there_are_kept(tmp_path):
    generate(tmp_path, 1, seed=5, workers=1, size=5)
    first = np.array(load(tmp_path, 1).plain)
    generate(tmp_path, 2, seed=6, workers=1, size=5)  # another seed: what is there is not made anew
    both = load(tmp_path, 2)
    assert len(both) == 10 and both.plain[5:].any()
    np.testing.assert_array_equal(both.plain[:5], first)


def test_a_chunk_that_was_not_finished_is_made_again(tmp_path):
    generate(tmp_path / "whole", 2, seed=5, workers=1, size=5)
    shutil.copytree(tmp_path / "whole", tmp_path / "torn")
    (tmp_path / "torn" / "done" / "00001").unlink()
    with (tmp_path / "torn" / "polar").open("r+b") as file:
        file.truncate(1000)
    (tmp_path / "torn" / "done" / "00000").unlink()
    generate(tmp_path / "torn", 2, seed=5, workers=1, size=5)
    np.testing.assert_array_equal(load(tmp_path / "torn", 2).polar, load(tmp_path / "whole", 2).polar)


def test_samples_of_another_kind_are_refused(tmp_path):
    generate(tmp_path, 1, seed=5, workers=1, size=5)
    with pytest.raises(XTagValueError, match="another kind"):
        generate(tmp_path, 1, seed=5, workers=1, size=6)


@pytest.mark.parametrize(
    ("turn_over", "image_of", "centre"),
    [
        (_mirror, lambda image: image[:, ::-1], (255 - 100.0, 130.0)),
        (_upend, lambda image: image[::-1], (100.0, 239 - 130.0)),
        (_transpose, np.transpose, (130.0, 100.0)),
    ],
)
def test_a_sample_turned_over_is_the_sample_of_the_frame_turned_over(turn_over, image_of, centre):
    geometry = Geometry((240, 256), 172e-6, 1.0, 1.0, (100.3, 130.2))
    textured = patterns.Textured(patterns.Rings(0.1, (1, 1.5), width=0.1), 0.6, 2, 0.7)
    image = np.random.default_rng(0).poisson(50 * textured.intensity(geometry.q(), geometry.chi()))
    prepare = Preparation()
    upright, wanted = prepare(image, (100.0, 130.0)), prepare(image_of(image), centre)
    batch = {name: getattr(upright, name)[None].copy() for name in Preparation().shapes}
    turn_over(batch, np.array([True]))
    np.testing.assert_allclose(batch["scalars"][0], wanted.scalars, atol=1e-5)
    np.testing.assert_allclose(batch["plain"][0], wanted.plain, atol=1e-5)
    # A few bins on the border of two cells go to the other one in the mirror.
    for turned, direct in ((batch["polar"], wanted.polar[20:, :, 0]), (batch["profile"], wanted.profile[40:, 0])):
        turned = turned[0][20:, :, 0] if turned.ndim == 4 else turned[0][40:, 0]
        assert np.corrcoef(turned.ravel(), direct.ravel())[0, 1] > 0.99


def test_batches_hold_every_sample_once():
    number = 37
    samples = Samples(
        plain=np.zeros((number, 4, 4, 3), np.float16),
        polar=np.zeros((number, 4, 8, 5), np.float16),
        profile=np.zeros((number, 8, 6), np.float16),
        scalars=np.zeros((number, 12), np.float16),
        labels=np.arange(number, dtype=np.int8)[:, None],
        strengths=np.zeros((number, 9), np.float16),
    )
    seen = np.concatenate([labels for _, labels, _ in samples.batches(np.random.default_rng(0), 5)])
    assert seen.size == 35 == np.unique(seen).size
