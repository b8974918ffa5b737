"""The Cloud Video Conversion System."""

__version__ = "0.1.0"
