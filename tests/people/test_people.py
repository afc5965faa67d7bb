"""The people file: who may do what, and everything that is refused in it, with its place."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chrysalis.errors import PlanError, SettingsError
from chrysalis.people import PERMISSIONS, People, load_people, parse_people
from chrysalis.plan import parse_plan
from chrysalis.settings import Settings
from tests.stack import PLANS

QUICK = parse_plan((PLANS / "quick" / "plan.yaml").read_text(), "quick").plan
FILE = """\
people:
  ada: {name: Ada Example, roles: [lead, owner], contact: [ada@example.com, "${ADA_CHAT}"]}
  bob: {roles: [owner], contact: "mailto:bob@example.com"}
  ci: {roles: [ci]}
roles:
  lead: {may: [start, approve, roll_back]}
  ci: {may: [start]}
everyone: [acknowledge]
"""


def key() -> str:
    public = Ed25519PrivateKey.generate().public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("ada", {"start", "approve", "roll_back", "acknowledge", "attest"}),
        ("bob", {"approve", "attest", "acknowledge"}),
        ("ci", {"start", "acknowledge"}),
        ("mallory", {"acknowledge"}),
        ("", {"acknowledge"}),
    ],
)
def test_a_person_may_what_their_roles_may(name: str, may: set[str]) -> None:
    people = parse_people(FILE, "people.yaml")
    assert {one for one in PERMISSIONS if people.may(name, one)} == may


def test_people_are_found_by_role_and_by_what_they_may() -> None:
    people = parse_people(FILE, "people.yaml")
    assert people.holders("owner") == ("ada", "bob")
    assert people.able("start") == ("ada", "ci")
    assert people.people["bob"].contact == ("mailto:bob@example.com",)
    assert people.proof == "any"


def test_a_plan_gives_roles_to_those_whom_the_file_knows_and_makes_nobody() -> None:
    people = parse_people("people:\n  pia: {roles: [boss]}\n", "people.yaml").for_plan(QUICK)
    assert people.roles_of("pia") == ("boss", "product_owner")
    assert people.holders("devops_lead") == ()


def test_without_a_file_the_plans_people_are_all_there_are_and_nothing_is_proven() -> None:
    people = People.of_plan(QUICK)
    assert people.holders("devops_lead") == ("ada", "dmitri")
    assert people.proof == "none"
    assert all(people.may("anybody", one) for one in PERMISSIONS)


def test_a_key_may_have_a_comment() -> None:
    assert parse_people(f"people:\n  ada: {{ssh: {key()} ada@laptop}}\n", "p").people["ada"].ssh[0].endswith("ada@laptop")


SHARED = key()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "people:\n  ada: {roles: [a], totp: ABC}", r"p\.yaml:2:21: people.ada.totp: unknown field", id="secret field"
        ),
        pytest.param(f"people:\n  ada: {{ssh: {'A' * 32}}}", r"2:9: .*looks like a secret.*people enrol", id="base32"),
        pytest.param('people:\n  ada: {contact: "otpauth://totp/x?secret=A"}', "2:9: .*looks like a secret", id="enrolment"),
        pytest.param(
            'people:\n  ada: {ssh: "-----BEGIN OPENSSH PRIVATE KEY-----"}', "looks like a secret", id="private key"
        ),
        pytest.param('people:\n  ada: {contact: ["slack://T/A/B"]}', r"2:19: .*name the variable", id="token in an address"),
        pytest.param(
            'people:\n  ada: {contact: "mailto:a:pw@example.com"}', "name the variable", id="password in an address"
        ),
        pytest.param("people:\n  ada: {ssh: ssh-ed25519 AAAA}", "expected a public key", id="no key"),
        pytest.param("people:\n  ada: {ssh: hello}", "expected a public key", id="nothing like a key"),
        pytest.param(
            f"people:\n  a: {{ssh: {SHARED}}}\n  b: {{ssh: {SHARED} other}}", "3:7: .*same key as that of a", id="shared"
        ),
        pytest.param("people:\n  watch: {roles: [a]}", "2:3: .*name of the machinery", id="our own name"),
        pytest.param("people:\n  Ada: {roles: [a]}", "2:3: .*found 'Ada'", id="name that is none"),
        pytest.param(
            "people:\n  ada: {roles: [a]}\nroles:\n  a: {may: [fly]}", "4:13: .*'start', 'approve'", id="unknown permission"
        ),
        pytest.param("roles: {}", "'people' is missing", id="nobody at all"),
        pytest.param("people: [", "not YAML", id="broken"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        parse_people(text, "p.yaml")


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CHRYSALIS_PEOPLE"):
        Settings.load({"CHRYSALIS_PEOPLE": str(tmp_path / "people.yaml")})
    with pytest.raises(PlanError, match="No such file"):
        load_people(tmp_path / "people.yaml")


def test_the_file_beside_the_plans_is_taken_by_itself(tmp_path: Path) -> None:
    assert Settings.load({"CHRYSALIS_PLANS": str(tmp_path)}).people_file is None
    (tmp_path / "people.yaml").write_text(FILE)
    assert Settings.load({"CHRYSALIS_PLANS": str(tmp_path)}).people_file == tmp_path / "people.yaml"
