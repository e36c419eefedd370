"""The application: every router of the API and the pages, guarded, behind the same middleware."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.gzip import GZipMiddleware

import tetkik.service.api
import tetkik.service.pages
from tetkik import __version__
from tetkik.service.access import armour
from tetkik.service.access.guard import check_routes
from tetkik.service.house import House
from tetkik.service.http import problems
from tetkik.service.http.assets import Assets
from tetkik.service.running import metrics
from tetkik.service.running.machine import Machine
from tetkik.service.running.upkeep import Upkeep
from tetkik.service.running.worker import Worker

PREFIX = "/api/v1"


def create_app(house: House, *, work: bool = True) -> FastAPI:
    """The application of one house.

    Args:
        house: its records and settings.
        work: whether this process also runs the models that images wait for.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        worker = Worker(house, machine) if work else None
        upkeep = Upkeep(house) if work else None
        for helper in (worker, upkeep):
            if helper is not None:
                helper.start()
        try:
            yield
        finally:
            for helper in (worker, upkeep):
                if helper is not None:
                    helper.stop()
            machine.close()

    machine = Machine(house.records)
    app = FastAPI(
        title="Tetkik",
        version=__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its page takes scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
    )
    app.state.house = house
    app.state.machine = machine
    for router in routers_of(tetkik.service.api):
        app.include_router(router, prefix=PREFIX, responses=problems.PROBLEMS)
    for router in routers_of(tetkik.service.pages):
        app.include_router(router, include_in_schema=False)
    # Packed: nothing in them is secret. Pages are not, for a packed size could tell of their tokens (BREACH).
    static = GZipMiddleware(Assets(packages=[("tetkik.service", "static")]))
    app.mount("/static", static, name="static")
    problems.install(app)
    armour.install(app, house)
    metrics.install(app, house)
    return app


def _operation_id(route: APIRoute) -> str:
    """What the description calls an operation: the thing and the function, such as `cases-read_case`."""
    return f"{route.tags[0]}-{route.name}" if route.tags else route.name


def routers_of(package: ModuleType) -> list[APIRouter]:
    """The routers of every module of a package, each route of them guarded."""
    path, name = package.__path__, package.__name__
    names = sorted(item.name for item in pkgutil.iter_modules(path))
    modules = (importlib.import_module(f"{name}.{module}") for module in names)
    found = [module.router for module in modules if hasattr(module, "router")]
    for router in found:
        check_routes(router)
    return found
