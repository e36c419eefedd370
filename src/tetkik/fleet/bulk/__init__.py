"""Bulk scoring: folders, tables and buckets in, Parquet out, by local processes or on a Ray cluster."""

from tetkik.fleet.bulk.run import BulkResult, make_job, run_bulk

__all__ = ["BulkResult", "make_job", "run_bulk"]
