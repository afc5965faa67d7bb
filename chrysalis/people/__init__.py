"""Who people are, what they may do, and how they prove it."""

from chrysalis.people.load import load_people, parse_people
from chrysalis.people.model import PERMISSIONS, People, Permission, Person, Role

__all__ = ["PERMISSIONS", "People", "Permission", "Person", "Role", "load_people", "parse_people"]
