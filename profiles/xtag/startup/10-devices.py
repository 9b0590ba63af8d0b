"""The devices: here a simulated sample stage and a 1-Mpx photon counter. Put your own in their place."""

from bluesky_xtag.simulate import PhotonCounter, Sample, motor

x = motor("x", position=5.0)
y = motor("y", position=5.0)
det = PhotonCounter(
    name="det",
    exposures=Sample(),
    x=x,
    y=y,
    directory=frames_directory,  # noqa: F821 (from the file before)
)
