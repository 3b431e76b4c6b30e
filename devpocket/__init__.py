"""DevPocket: the server of a mobile-first cloud IDE."""

__version__ = "0.1.0"
