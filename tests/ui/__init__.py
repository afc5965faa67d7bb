"""What people do in the Prefect UI, in a real browser on a real stack."""
