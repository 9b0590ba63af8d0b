"""A process that writes an HDF5 file as a detector's server does, told what to do line by line.

It imports nothing but HDF5, as such a server, and so it starts at once.
"""

import sys

import h5py

DATA = "/entry/data/data"


def write(path, rows, columns, dtype, swmr, compressed):
    rows, columns, swmr = int(rows), int(columns), bool(int(swmr))
    options = {}
    if int(compressed):
        import hdf5plugin

        options = dict(hdf5plugin.LZ4())
    file = h5py.File(path, "w", libver="latest")
    file.create_dataset(
        DATA, (0, rows, columns), dtype, maxshape=(None, rows, columns), chunks=(1, rows, columns), **options
    )
    if swmr:
        file.swmr_mode = True
    print("open", flush=True)
    written = 0
    for line in sys.stdin:
        what = line.strip()
        try:
            if what == "reopen":
                file.close()
                file = h5py.File(path, "a", libver="latest")
                if swmr:
                    file.swmr_mode = True
            elif what == "close":
                file.close()
            else:
                file[DATA].resize(written + 1, axis=0)
                if what == "append":
                    file[DATA][written] = written
                    written += 1
                file[DATA].flush()
            print("done", flush=True)
        except (OSError, ValueError) as error:  # ValueError: the file is closed, because it could not be opened again
            print(f"failed: {error}", flush=True)
        if what == "close":
            return


if __name__ == "__main__":
    write(*sys.argv[1:])
