"""Simulated scattering: samples, detectors, labelled frames and a beamline."""
