import h5py
import hdf5plugin  # noqa: F401
import numpy as np
import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.prepare import Preparation
from bluesky_xtag.simulate.dataset import sample, simulate
from bluesky_xtag.simulate.labels import TAGS


def test_a_sample_is_named_by_seed_and_index():
    (first, labels), (again, same), (other, _) = sample(1, 5), sample(1, 5), sample(1, 6)
    np.testing.assert_array_equal(first.polar, again.polar)
    np.testing.assert_array_equal(first.plain, again.plain)
    np.testing.assert_array_equal(labels, same)
    assert (first.polar != other.polar).any()


def test_samples_are_finite_and_every_required_tag_occurs():
    drawn = [sample(9, index) for index in range(150)]
    for inputs, _ in drawn:
        for name, shape in Preparation().shapes.items():
            view = getattr(inputs, name)
            assert view.shape == shape and np.isfinite(view).all()
    labels = np.stack([labels for _, labels in drawn])
    for name in (
        "empty beamstop detector_gaps diffuse_low_q halo ring spots higher_orders oriented weak_scattering"
    ).split():
        column = labels[:, TAGS.index(name)]
        assert (column == 1).sum() >= 3 and (column == 0).sum() >= 3, name
    assert labels.dtype == np.int8 and set(np.unique(labels)) <= {-1, 0, 1}


def test_simulate_writes_raw_frames_with_their_truth(tmp_path):
    path = simulate(tmp_path / "frames.h5", 3, seed=4)
    with h5py.File(path) as file:
        assert list(file.attrs["tags"]) == list(TAGS.names)
        assert len(file) == 3
        for data in file.values():
            image = data[()]
            assert image.ndim == 2 and image.dtype == np.int32
            assert data.attrs["truth"].shape == (len(TAGS),)
            Preparation()(image)
    with pytest.raises(XTagValueError, match="exists"):
        simulate(path, 3)
    with pytest.raises(XTagValueError, match="at least one"):
        simulate(tmp_path / "none.h5", 0)


def test_the_same_seed_writes_the_same_frames(tmp_path):
    first, second = (simulate(tmp_path / f"{name}.h5", 2, seed=7) for name in "ab")
    with h5py.File(first) as one, h5py.File(second) as two:
        for name in one:
            np.testing.assert_array_equal(one[name][()], two[name][()])
