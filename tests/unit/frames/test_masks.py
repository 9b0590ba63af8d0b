"""The user's mask, from arrays and from files."""

import fabio
import h5py
import numpy as np
import pytest

from bluesky_xtag import XTagValueError
from bluesky_xtag.frames import load_mask

MASK = np.zeros((6, 8), bool)
MASK[2:4, 5] = True


def as_npy(path):
    np.save(path / "mask.npy", MASK.astype(np.uint8))
    return path / "mask.npy"


def as_edf(path):
    fabio.edfimage.EdfImage(data=MASK.astype(np.uint8)).write(path / "mask.edf")
    return str(path / "mask.edf")


def as_tiff(path):
    fabio.tifimage.TifImage(data=MASK.astype(np.uint8)).write(path / "mask.tif")
    return path / "mask.tif"


def as_hdf5(path):
    with h5py.File(path / "mask.h5", "w") as file:
        file["entry/mask"] = MASK.astype(np.uint8)
    return f"{path / 'mask.h5'}::/entry/mask"


@pytest.mark.parametrize("write", [as_npy, as_edf, as_tiff, as_hdf5])
def test_files(tmp_path, write):
    np.testing.assert_array_equal(load_mask(write(tmp_path)), MASK)


def test_array():
    np.testing.assert_array_equal(load_mask(MASK * 3.0), MASK)


def test_what_is_no_mask_is_refused(tmp_path):
    with pytest.raises(XTagValueError, match="no.npy cannot be read"):
        load_mask(tmp_path / "no.npy")
    with pytest.raises(XTagValueError, match=r"shape \(8,\)"):
        load_mask(MASK[0])
