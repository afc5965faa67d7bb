"""The HTTP service that is rolled out, one process per version: `python -m chrysalis.sandbox.service FOLDER SIDE PORT`."""
