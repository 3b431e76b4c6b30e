"""The database's ENGINE: Django's own for PostgreSQL, which says at once that the database is away while it is."""
