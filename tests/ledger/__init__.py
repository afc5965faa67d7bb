"""Tests of the ledger, all on SQLite and on PostgreSQL."""
