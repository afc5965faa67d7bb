"""The service's PostgreSQL: proven backups, restore to a moment, data that outlives the way back, read-only mode."""
