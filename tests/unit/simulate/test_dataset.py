from dataclasses import replace

import numpy as np

from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate import NUISANCES, TAGS, make_scene, prepare_scene, sample
from bluesky_xtag.simulate.dataset import raw
from bluesky_xtag.simulate.scene.layouts import Layout

PILATUS = Layout((619, 487), 172e-6, "Pilatus 300k")


def test_a_sample_is_named_by_seed_and_index():
    (first, labels), (again, same), (other, _) = sample(1, 5), sample(1, 5), sample(1, 6)
    np.testing.assert_array_equal(first.polar, again.polar)
    np.testing.assert_array_equal(first.plain, again.plain)
    np.testing.assert_array_equal(labels, same)
    assert (first.polar != other.polar).any()


def test_samples_are_finite_and_every_tag_occurs():
    drawn = [sample(9, index) for index in range(240)]
    for inputs, _ in drawn:
        for name, shape in Preparation().shapes.items():
            view = getattr(inputs, name)
            assert view.shape == shape and np.isfinite(view).all()
    labels = np.stack([labels for _, labels in drawn])
    for name in TAGS.names:
        column = labels[:, TAGS.index(name)]
        assert (column == 1).sum() >= 2 and (column == 0).sum() >= 2, name
    assert labels.dtype == np.int8 and set(np.unique(labels)) <= {-1, 0, 1}


def test_a_raw_frame_prepares_to_about_the_same_inputs_as_its_quick_exposure():
    some = make_scene(4, 3, nuisances=("exposure", "gaps", "beamstop"))
    image, truth, mask = raw(some, np.random.default_rng(0))
    quick, labels = prepare_scene(some, np.random.default_rng(1))
    slow = Preparation()(image, some.told_centre, mask)
    assert image.dtype == np.int32 and image.shape == some.layout.shape and mask is None
    np.testing.assert_array_equal(truth, labels)
    assert np.corrcoef(quick.polar[..., 0].ravel(), slow.polar[..., 0].ravel())[0, 1] > 0.98


def test_a_mask_beside_the_gaps_is_told_apart_from_the_image():
    some = make_scene(4, 3, held_out=True, nuisances=("gaps",))
    wrong = NUISANCES["mask_wrong"].at(replace(some, layout=PILATUS), 12, np.random.default_rng(0))
    wrong = replace(wrong, geometry=replace(wrong.geometry, shape=PILATUS.shape))
    image, _, mask = raw(wrong, np.random.default_rng(0))
    assert (image >= 0).all() and 0 < (mask & (image == 0)).sum() < mask.sum()
