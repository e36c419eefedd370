"""The application: every router of the API and the pages, guarded, behind the same middleware."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import ModuleType

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.gzip import GZipMiddleware

import tetkik.service
from tetkik import __version__
from tetkik.fleet.worker import Worker
from tetkik.integrations import critical_contacts
from tetkik.integrations.systems import systems_of
from tetkik.service import system
from tetkik.service.critical_results import EscalationThread
from tetkik.service.demonstration import Filler
from tetkik.service.demonstration import router as demonstration_router
from tetkik.service.kit.access import middleware
from tetkik.service.kit.access.authorization import check_routes
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.background.threads import PeriodicThread, RefusalThread, RetentionThread
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http import problems
from tetkik.service.kit.http.responses import VersionedStaticFiles
from tetkik.service.outbox import OutboxThread

PREFIX = "/api/v1"


def create_app(context: AppContext, *, work: bool = True) -> FastAPI:
    """The application; with `work`, this process also does what is due, and reads images by the settings."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        threads: list[PeriodicThread | Worker | Filler] = [RefusalThread(_app.state.context)]
        if context.demonstration is not None:
            threads.append(Filler(context, decoder))
        if work:
            if context.settings.worker:
                woken, progress = decoder.work_available, decoder.progress
                threads.append(Worker(context.records, context.settings, decoder, woken, progress))
            threads += [RetentionThread(context), EscalationThread(context)]
            if systems_of(context.settings) is not None:
                threads.append(OutboxThread(context, decoder))
        context.records.names.warm()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for thread in threads:  # all at once: none takes something new while another is waited for
                thread.end()
            for thread in threads:
                thread.stop()
            decoder.close()

    systems = systems_of(context.settings)
    critical_contacts.check(
        context.settings, [name for route in systems.routes for name in route.notify] if systems else ()
    )
    decoder = ImageDecoder(context.records)
    app = FastAPI(
        title="Tetkik",
        version=__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its page takes scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
    )
    app.state.context = context
    app.state.decoder = decoder
    entries = [entry for module in _modules() for entry in getattr(module, "NAVIGATION", ())]
    app.state.navigation = tuple(sorted(entries, key=lambda entry: entry.position))
    if context.demonstration is not None:
        check_routes(demonstration_router)
        app.include_router(demonstration_router, include_in_schema=False)  # before the sign-in page
    for router in routers("api"):
        app.include_router(router, prefix=PREFIX, responses=problems.PROBLEMS)
    for router in routers("pages"):
        app.include_router(router, include_in_schema=False)
    # Packed: nothing in them is secret. Pages are not, for a packed size could tell of their tokens (BREACH).
    static = GZipMiddleware(VersionedStaticFiles(packages=[("tetkik.service", "static")]))
    app.mount("/static", static, name="static")
    problems.install(app)
    middleware.install(app, context, system.install(app, context))
    return app


def _operation_id(route: APIRoute) -> str:
    """What the description calls an operation: the thing and the function, such as `cases-read_case`."""
    return f"{route.tags[0]}-{route.name}" if route.tags else route.name


def routers(kind: str) -> Iterator[APIRouter]:
    """Every router that is called `api` or `pages` (also `…_api`, `…_pages`), or whose module is; guarded."""
    for module in _modules():
        for name, value in vars(module).items():
            called = (f"_{name}", f"_{module.__name__.rpartition('.')[2]}")
            if isinstance(value, APIRouter) and any(one.endswith(f"_{kind}") for one in called):
                check_routes(value)
                yield value


def _modules() -> Iterator[ModuleType]:
    for item in pkgutil.walk_packages(tetkik.service.__path__, "tetkik.service."):
        yield importlib.import_module(item.name)
