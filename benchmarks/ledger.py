"""What does the ledger cost? Writes what an import of N customers writes, and nothing else; prints CPU seconds."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from segsync import accounts, entries
from segsync.ledger import Ledger
from segsync.models import BatchSent, Fates, PageSettled, SentProfile
from segsync.recorder import for_listing

A_PAGE = 100


async def main(customers: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        started = time.process_time()
        with Ledger(Path(directory, "segsync.db"), space_id="spa_bench", application_id="bench") as ledger:
            run = ledger.read(partial(accounts.begin_run, first_offset="0"))
            recorder = for_listing(ledger, run.id, settled_pages=0, is_followed=True)
            for number in range(1, customers // A_PAGE + 1):
                first = number * A_PAGE
                profiles = tuple(
                    SentProfile(number, f"use_{each:020}", f"user-{each}") for each in range(first, first + A_PAGE)
                )
                recorder.record(BatchSent(f"aa_{number}", profiles))
                recorder.record(PageSettled(number, str(first), str(first + A_PAGE), Fates(sent=A_PAGE)))
                await ledger.keep_up()
                # Its outcome is read: nobody was refused.
                [batch] = await ledger.ask(partial(entries.open_batches, since=run.id, most=1000))
                await ledger.ask(partial(entries.members_of, batch=batch.id))
                await ledger.ask(partial(entries.end_batch, batch=batch, rejections=[], again=[]))
        print(time.process_time() - started)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
