"""One machine with nothing installed: embedded PostgreSQL, in-process broker, supervisor."""
