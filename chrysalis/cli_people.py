"""`chrysalis people`: who they are, how they prove it, who stands in for whom."""

import sys
from pathlib import Path
from typing import Annotated

import segno
import typer

from chrysalis.cli_common import By, Json, Reason, acting, print_json
from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed, SettingsError
from chrysalis.people import codes, load_people
from gates.signoff import locked_until
from gates.units import parse_duration
from tasks import people as identities
from tasks.workspace import open_ledger

app = typer.Typer(no_args_is_help=True)
PersonName = Annotated[str, typer.Argument(metavar="NAME", help="A name of the people file.")]


@app.command("list")
def list_people(as_json: Json = False) -> None:
    """Everybody, with roles and how they can prove who they are; and the delegations that hold."""
    people, ledger, now = identities.all_people(), open_ledger(), utc_now()
    enrolled = {one.person: one for one in ledger.enrolled()}
    given = ledger.delegations(now)
    factors = {
        name: [*(["code"] if name in enrolled else []), *(["ssh"] if person.ssh else [])]
        for name, person in sorted(people.people.items())
    }
    locked = {name: locked_until([(one.at, one.right) for one in ledger.attempts(name, now)], now) for name in factors}
    if as_json:
        rows = [
            {"name": name, "roles": people.roles_of(name), "proof": factors[name], "locked_until": locked[name]}
            for name in factors
        ]
        kept = ("id", "giver", "taker", "until", "reason")
        print_json({"people": rows, "delegations": [{key: getattr(one, key) for key in kept} for one in given]})
        return
    for name, proof in factors.items():
        until = locked[name]
        note = f"  locked until {until:%H:%M:%S} UTC" if until else ""
        print(f"{name:<12} {', '.join(proof) or 'no proof':<10} {', '.join(people.roles_of(name))}{note}")
    for one in given:
        print(f"delegation {one.id}: {one.taker} signs for {one.giver} until {one.until:%Y-%m-%d %H:%M} UTC  {one.reason}")


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A people file.")]) -> None:
    """Check a people file; every problem at once, with line and column."""
    people = load_people(file)
    print(f"{file}: {len(people.people)} people, sound")


@app.command()
def enrol(person: PersonName, by: By = "") -> None:
    """Enrol somebody for one-time codes: show the QR code once, keep the secret encrypted."""
    secret = codes.new_secret()
    address = codes.address(person, secret)
    if not sys.stdout.isatty():
        identities.enrol(person, secret, by=acting(by))
        print(address)
        return
    segno.make(address, error="m").terminal(compact=True)
    print(f"\n{person}: scan this with an authenticator, or type in the secret: {secret}")
    for _ in range(3):
        if codes.matching_step(secret, typer.prompt("The code that it shows now"), utc_now()) is not None:
            identities.enrol(person, secret, by=acting(by))
            print(f"{person} is enrolled; the secret is not shown again")
            return
        print("that is not it; do the clocks of this machine and of the authenticator agree?")
    raise NotAllowed(f"{person} is not enrolled: no code was right")


@app.command()
def unenrol(person: PersonName, by: By = "") -> None:
    """Forget somebody's secret: a lost telephone, a person who left."""
    identities.unenrol(person, by=acting(by))
    print(f"{person} is not enrolled any more")


@app.command()
def unlock(person: PersonName, by: By = "") -> None:
    """Have somebody's codes looked at again after too many wrong ones."""
    identities.unlock(person, by=acting(by))
    print(f"codes of {person} are looked at again")


@app.command()
def delegate(
    giver: Annotated[str, typer.Argument(metavar="GIVER", help="Who is away.")],
    taker: Annotated[str, typer.Argument(metavar="TAKER", help="Who signs meanwhile.")],
    span: Annotated[str, typer.Option("--for", help="For how long, such as 3d.")],
    reason: Reason = "",
    by: By = "",
) -> None:
    """Have somebody sign for somebody else for a stated time."""
    try:
        until = utc_now() + parse_duration(span)
    except (ValueError, OverflowError) as error:
        raise SettingsError(f"--for: {error}") from error
    made = identities.delegate(giver, taker, until=until, reason=reason, by=acting(by))
    print(f"delegation {made.id}: {taker} signs for {giver} until {made.until:%Y-%m-%d %H:%M} UTC")


@app.command()
def revoke(
    delegation: Annotated[int, typer.Argument(metavar="ID", help="As `chrysalis people list` says.")], by: By = ""
) -> None:
    """Take a delegation back."""
    ended = identities.revoke(delegation, by=acting(by))
    print(f"delegation {ended.id}: {ended.taker} no longer signs for {ended.giver}")
