"""Collecting questions from a question-and-answer site, politely and with permission.

A small description says where a site's questions stand (`Site`); `collect` crawls it into
`complaints.jsonl`, which `tetkik triage clean` reads. A crawl may be killed at any moment and goes on where
it was when it is started again in the same folder.
"""

from __future__ import annotations

from tetkik.lab.triage.collect.run import CrawlSummary, Ending, collect
from tetkik.lab.triage.collect.site import Site, built_in_sites, load_site
from tetkik.lab.triage.collect.store import Failure

__all__ = ["CrawlSummary", "Ending", "Failure", "Site", "built_in_sites", "collect", "load_site"]
