"""Effects that are neither a write to a target nor a measurement: migrations, smoke tests, commands, notices.

Plain functions, each safe to repeat; the tasks give them their journal entries and Prefect's view of them.
"""
