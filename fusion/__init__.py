"""Urban region function recognition from overhead imagery and mobile-phone signaling."""

__version__ = "0.1.0"
