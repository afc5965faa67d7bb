"""The migrations of the ledger's own schema, applied by chrysalis.ledger.migrate when a ledger is opened."""
