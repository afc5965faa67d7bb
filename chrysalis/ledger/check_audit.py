"""Verifies an exported audit with Python alone: python3 check_audit.py FILE... [--head SEQ:HASH] [--after SEQ:HASH]

FILEs are what `chrysalis audit export` and `audit retain` wrote, oldest first. --head is what `chrysalis audit head` printed
at some time, kept elsewhere: without it, nobody can see that the newest entries were cut off. --after is what this printed
for the files before these, where they are checked alone. Exit code 0: nothing is wrong.
"""

import argparse
import hashlib
import json
import sys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--head")
    parser.add_argument("--after", default=f"0:{'0' * 64}")
    given = parser.parse_args()
    number, _, last = given.after.partition(":")
    first = seq = int(number)
    wrong, on_chain = [], given.head in (None, given.after)
    for name in given.files:
        with open(name, encoding="ascii", errors="replace") as lines:
            for count, line in enumerate(lines, start=1):
                try:
                    entry = json.loads(line)
                    whole = json.dumps(entry, sort_keys=True, separators=(",", ":"))
                    told, previous, now = entry.pop("hash"), entry["previous_hash"], int(entry["seq"])
                    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    wrong.append(f"{name}, line {count}: not an entry of an audit ({error!r})")
                    continue
                if now != seq + 1:
                    wrong.append(f"{name}, line {count}: {now} follows {seq}: an entry was removed, inserted or moved")
                elif previous != last:
                    wrong.append(f"{name}, line {count}: {now} does not continue {seq}: an entry was replaced or moved")
                if hashlib.sha256(text.encode()).hexdigest() != told or whole != line.rstrip("\n"):
                    wrong.append(f"{name}, line {count}: entry {now} was changed")
                on_chain |= given.head == f"{now}:{told}"
                seq, last = now, told
    wrong += [] if on_chain else [f"{given.head} is not on the chain: its end was cut off, or it was written anew"]
    said = f"{'WRONG' if wrong else 'whole'}: entries {first + 1} to {seq}, head {seq}:{last}\n"
    sys.stdout.write("\n".join([*wrong, said]))
    return 1 if wrong or seq == first else 0


if __name__ == "__main__":
    sys.exit(main())
