"""What a process keeps of its environment."""

from tasks.workspace import plan_of, settings


def forget() -> None:
    """Settings and plans are read anew: the environment is another one's."""
    for kept in (settings, plan_of):
        kept.cache_clear()
