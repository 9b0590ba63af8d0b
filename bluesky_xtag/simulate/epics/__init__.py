"""A beamline over Channel Access without hardware: an IOC with a camera, file plugins, motors and a beam monitor."""

from .ioc_process import PREFIX, EpicsBeamline

__all__ = ["PREFIX", "EpicsBeamline"]
