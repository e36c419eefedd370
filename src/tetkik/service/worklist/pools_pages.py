"""Pools of readers, as an administrator makes them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Path
from fastapi.responses import RedirectResponse, Response

from tetkik.errors import TetkikError
from tetkik.records.worklist import assignments
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.values import Permission

router = APIRouter(prefix="/admin/pools")

Administrator = Annotated[RequestContext, allowed(Permission.USERS)]
Name = Annotated[str, Form(max_length=200)]
Members = Annotated[list[str] | None, Form()]
PoolId = Annotated[str, Path(max_length=26)]


@router.get("")
def every_pool(ctx: Administrator) -> Response:
    return _page(ctx)


@router.post("")
def make(ctx: Administrator, name: Name, member: Members = None) -> Response:
    return _save(ctx, None, name, member)


@router.post("/{pool_id}")
def change(ctx: Administrator, pool_id: PoolId, name: Name, member: Members = None) -> Response:
    return _save(ctx, pool_id, name, member)


@router.post("/{pool_id}/remove")
def remove(ctx: Administrator, pool_id: PoolId) -> Response:
    with ctx.write() as tx:
        assignments.remove_pool(tx, pool_id)
    return RedirectResponse("/admin/pools", 303)


def _save(ctx: RequestContext, pool_id: str | None, name: str, members: list[str] | None) -> Response:
    try:
        with ctx.write() as tx:
            assignments.save_pool(tx, pool_id, name, members or ())
    except TetkikError as error:
        return _page(ctx, error)
    return RedirectResponse("/admin/pools", 303)


def _page(ctx: RequestContext, error: TetkikError | None = None) -> Response:
    with ctx.read() as tx:
        pools, readers = assignments.list_pools(tx), assignments.list_readers(tx)
    return ctx.render("worklist/pools.html.jinja", pools=pools, readers=readers, error=error)
