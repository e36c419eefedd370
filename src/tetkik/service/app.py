"""The application: every router of the API and the pages, guarded, behind the same middleware."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType

from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles

import tetkik.service.api
import tetkik.service.pages
from tetkik import __version__
from tetkik.service import description, problems
from tetkik.service.access import armour
from tetkik.service.access.guard import check_routes
from tetkik.service.house import House
from tetkik.service.worker import Worker

PREFIX = "/api/v1"


def create_app(house: House, *, work: bool = True) -> FastAPI:
    """The application of one house.

    Args:
        house: its records and settings.
        work: whether this process also runs the models that images wait for.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        worker = Worker(house) if work else None
        if worker is not None:
            worker.start()
        try:
            yield
        finally:
            if worker is not None:
                worker.stop()

    app = FastAPI(
        title="Tetkik",
        version=__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its page takes scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.house = house
    for router in routers_of(tetkik.service.api):
        app.include_router(router, prefix=PREFIX, responses=problems.PROBLEMS)
    for router in routers_of(tetkik.service.pages):
        app.include_router(router, include_in_schema=False)
    app.mount("/static", StaticFiles(packages=[("tetkik.service", "static")]), name="static")
    problems.install(app)
    description.install(app)
    armour.install(app, house)
    return app


def routers_of(package: ModuleType) -> list[APIRouter]:
    """The routers of every module of a package, each route of them guarded."""
    path, name = package.__path__, package.__name__
    names = sorted(item.name for item in pkgutil.iter_modules(path))
    modules = (importlib.import_module(f"{name}.{module}") for module in names)
    found = [module.router for module in modules if hasattr(module, "router")]
    for router in found:
        check_routes(router)
    return found
