"""The user's mask, from arrays and from files."""

import fabio
import h5py
import numpy as np
import pytest
import tifffile

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


def as_boolean_tiff(path):
    tifffile.imwrite(path / "mask.tif", MASK)  # which fabio gives back the other way round
    return path / "mask.tif"


def as_cbf(path):
    fabio.cbfimage.CbfImage(data=MASK.astype(np.int32)).write(str(path / "mask.cbf"))
    return path / "mask.cbf"


def as_hdf5_by_another_name(path):
    with h5py.File(path / "mask.dat", "w") as file:
        file["entry/mask"] = MASK
    return f"{path / 'mask.dat'}::/entry/mask"


def as_hdf5_of_which_most_was_never_written(path):
    with h5py.File(path / "mask.h5", "w") as file:
        file.create_dataset("mask", MASK.shape, bool, chunks=(1, 8))[2:4] = MASK[2:4]
    return f"{path / 'mask.h5'}::mask"


def as_group_of_nexus(path):
    with h5py.File(path / "mask.nxs", "w") as file:
        file["mask/data"] = np.stack([MASK, ~MASK])
    return f"{path / 'mask.nxs'}::/mask"


def as_hdf5(path):
    with h5py.File(path / "mask.h5", "w") as file:
        file["entry/mask"] = MASK.astype(np.uint8)
    return f"{path / 'mask.h5'}::/entry/mask"


FILES = [
    as_npy,
    as_edf,
    as_tiff,
    as_boolean_tiff,
    as_cbf,
    as_hdf5,
    as_hdf5_by_another_name,
    as_hdf5_of_which_most_was_never_written,
    as_group_of_nexus,
]


@pytest.mark.parametrize("write", FILES)
def test_files(tmp_path, write):
    np.testing.assert_array_equal(load_mask(write(tmp_path)), MASK)


def test_array():
    np.testing.assert_array_equal(load_mask(MASK * 3.0), MASK)


def test_what_is_no_mask_is_refused(tmp_path):
    with pytest.raises(XTagValueError, match="no.npy cannot be read"):
        load_mask(tmp_path / "no.npy")
    named = as_hdf5(tmp_path)
    with pytest.raises(XTagValueError, match="has no data set '/elsewhere'"):
        load_mask(named.replace("/entry/mask", "/elsewhere"))
    with pytest.raises(XTagValueError, match="may hold many data sets: name one, as .*mask.h5::/path"):
        load_mask(named.partition("::")[0])
    with pytest.raises(XTagValueError, match=r"shape \(8,\)"):
        load_mask(MASK[0])
