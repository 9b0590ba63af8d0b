"""A simulated beamline: devices, samples and maps."""
