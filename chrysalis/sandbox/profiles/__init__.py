"""What each system needs to run in the sandbox, a module or package for each, found by its plan's name.

A new system is a file of its own here with a `PROFILE`; nothing else has to name it.
"""

from importlib import import_module
from pkgutil import iter_modules

from chrysalis.errors import SettingsError
from chrysalis.sandbox.profiles.profile import Incident, Profile, canary_fault

__all__ = ["Incident", "Profile", "canary_fault", "load_profile", "profile_names"]


def profile_names() -> tuple[str, ...]:
    """The plans that there is a profile for."""
    return tuple(sorted(found.name for found in iter_modules(__path__) if found.name != "profile"))


def load_profile(name: str) -> Profile:
    """The profile of a plan. Raises SettingsError for a plan that has none."""
    if name not in profile_names():
        raise SettingsError(f"no sandbox for plan {name!r}; there is one for: {', '.join(profile_names())}")
    profile: Profile = import_module(f"{__name__}.{name}").PROFILE
    return profile
