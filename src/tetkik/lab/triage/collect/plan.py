"""Which list page comes next, from the site's description and the ledger alone."""

from __future__ import annotations

from operator import attrgetter

from tetkik.lab.triage.collect.site import Site
from tetkik.lab.triage.collect.store import Outcome, PageRecord, PageRef, Store

_DEAD_PAGES = 3
"""A section is not followed past so many failed pages in a row."""


_number = attrgetter("number")


def first_pages(site: Site, store: Store) -> list[PageRef]:
    """Where a run begins: the page after the last known one of each section, then what failed before.

    Lowest numbers first, so that runs with a small limit serve every section in turn and none of them is
    spent on a page that fails for ever.
    """
    fresh: list[PageRef] = []
    failed: list[PageRecord] = []
    for section in site.sections:
        known = sorted((page for page in store.pages.values() if page.section == section), key=_number)
        failed += [page for page in known if page.failed]
        if not known:
            fresh.append(PageRef(section, site.first_page, site.page_url(section, site.first_page)))
        elif following := next_page(site, store, known[-1]):
            fresh.append(following)
    return sorted(fresh, key=_number) + sorted(failed, key=_number)


def next_page(site: Site, store: Store, page: PageRecord) -> PageRef | None:
    """The page after `page`; None where the section ends, or where that page is known already."""
    number = page.number + 1
    if (page.section, number) in store.pages or number >= site.first_page + site.max_pages:
        return None
    if page.outcome in (Outcome.LAST, Outcome.FORBIDDEN):
        return None
    if site.next_page is not None:
        if page.outcome is not Outcome.DONE or page.next_url is None:
            return None
        return PageRef(page.section, number, page.next_url)
    tail = [store.pages.get((page.section, number - back)) for back in range(1, _DEAD_PAGES + 1)]
    if all(one is not None and one.outcome is Outcome.FAILED for one in tail):
        return None
    if page.outcome is Outcome.FAILED and page.number == site.first_page:
        return None
    return PageRef(page.section, number, site.page_url(page.section, number))


def ends_section(site: Site, store: Store, page: PageRecord) -> bool:
    """Whether a page that could be read is its section's last.

    With a link to the next page: there is none, or it leads to a page known already. Counting pages: this
    page and the one before it both show what earlier pages showed, as where a site answers every number
    beyond the last with the last page or the first. One such page alone may come from questions that moved
    down while new ones were asked.
    """
    known = [one for one in store.pages.values() if one.section == page.section]
    if site.next_page is not None:
        return page.next_url is None or page.next_url in {page.url, *(one.url for one in known)}
    before = store.pages.get((page.section, page.number - 1))
    if before is None or not before.mark:
        return False
    earlier = {one.mark for one in known if one.number < before.number and one.mark}
    return before.mark in earlier and page.mark in earlier | {before.mark}
