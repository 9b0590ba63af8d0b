"""A simulated IOC on a free port of this machine. At a beamline the IOCs run already: leave this file out."""

from bluesky_xtag.simulate import EpicsBeamline

print("Starting the IOC ...")
ioc = EpicsBeamline()  # it ends with this session
