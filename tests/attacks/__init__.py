"""What somebody would try who wants a release through, or the record changed: each is refused, recorded and harmless."""
