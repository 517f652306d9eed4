"""The database: one code path for SQLite and PostgreSQL, one use case per transaction."""
