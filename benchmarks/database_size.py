"""Rows and bytes of a case in PostgreSQL, by table, indexes included: signed cases, with their trail.

    python benchmarks/database_size.py [--cases 2000]

Each case goes the whole way: patient, case, an image with its run, the composer's draft, judged and signed,
each act with its entry of the audit trail. Images are files and not counted. What is there before the first
case is taken off. The figure does not depend on how busy the machine is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import record
from tests.records.kit import made_records, made_user
from tests.records.postgres import Cluster
from tests.records.reports_kit import signed_report
from tetkik.records.cases.patients import Person
from tetkik.values import Role

_SIZES = text(
    "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' "
    "AND relnamespace = 'public'::regnamespace"
)


def sizes(engine: Engine) -> dict[str, tuple[int, int]]:
    """Rows and bytes of each table."""
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM FULL ANALYZE"))
        found = {name: size for name, size in connection.execute(_SIZES)}  # noqa: C416 - rows are no pairs
        return {
            name: (connection.scalar(text(f"SELECT count(*) FROM {name}")) or 0, size)
            for name, size in found.items()
        }


def main() -> None:
    """Fill, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=2000)
    many = parser.parse_args().cases
    cluster = Cluster()
    try:
        with tempfile.TemporaryDirectory() as folder:
            records = made_records(Path(folder), cluster.fresh())
            reader = made_user(records, Role.RADIOLOGIST, name="Uzm. Dr. Deniz AKIN")
            before = sizes(records.engine)
            for number in range(many):
                person = Person(f"Gülçin ŞAHİN {number}", "", f"H-{number:07}", "19700101")
                signed_report(records, reader, person=person, pictures=False)
            after = sizes(records.engine)
            records.close()
    finally:
        cluster.stop()
    grown = {name: (rows - before[name][0], size - before[name][1]) for name, (rows, size) in after.items()}
    print(f"{'table':<26}{'rows a case':>14}{'bytes a case':>14}")
    for name, (rows, size) in sorted(grown.items(), key=lambda one: -one[1][1]):
        if size > 0:
            print(f"{name:<26}{rows / many:>14.1f}{size / many:>14,.0f}")
    rows, size = (sum(one[place] for one in grown.values()) / many for place in (0, 1))
    print(f"{'all':<26}{rows:>14.1f}{size:>14,.0f}")
    reached = f"{size / 1000:.1f} kB, {rows:.0f} rows, {grown['audit'][0] / many:.0f} entries of the trail"
    record("scale/database-case", {"reached": reached, "n": f"{many:,} cases"})


if __name__ == "__main__":
    main()
