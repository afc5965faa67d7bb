"""A writer that is killed: it changes the ledger, says so, and waits inside its transaction for the end."""

import sys
import time

from sqlalchemy import update

from chrysalis.ledger import Ledger, schema
from tests.ledger.samples import NOW


def main(url: str, rollout_id: str, token: int) -> None:
    ledger = Ledger.open(url)
    ledger.begin_step(rollout_id, token, step_id="committed", kind="k", detail={}, now=NOW)
    with ledger._database.write(NOW) as tx:
        tx.execute(update(schema.rollouts).values(state="stuck", version="half written"))
        tx.note("victim", "half", rollout_id, {})
        tx.seal()
        sys.stdout.write("inside\n")
        sys.stdout.flush()
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
