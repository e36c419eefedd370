"""What every table shares: its naming, its types."""

from __future__ import annotations

import operator
from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, DateTime, Dialect, Enum, ForeignKey, LargeBinary, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column
from sqlalchemy.types import TypeDecorator

from tetkik.values import Method

_Value = TypeVar("_Value")


class Base(DeclarativeBase):
    """The parent of every table; constraints have names, so that a migration can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    def to_value(self, kind: type[_Value], /, **own: Any) -> _Value:
        """A dataclass with what stands here under the same names; `own` gives everything else."""
        names = {item.name for item in fields(kind) if item.name not in own}  # type: ignore[arg-type]
        return kind(**{name: getattr(self, name) for name in names}, **own)


def within(column: Any, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    """That a moment is `since` or later, and before `until`; None leaves that end open."""
    ends = ((operator.ge, since), (operator.lt, until))
    return [compare(column, end) for compare, end in ends if end is not None]


def fitting(*wanted: tuple[Any, Any]) -> list[ColumnElement[bool]]:
    """That columns have the values that are wanted of them; None wants nothing."""
    return [column == value for column, value in wanted if value is not None]


class Moment(TypeDecorator[datetime]):
    """A time with its zone, kept as UTC; SQLite has no zone of its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time needs its zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def enum_column(kind: type[StrEnum]) -> Enum:
    """A column of an enumeration of words, kept as its values."""
    return Enum(kind, native_enum=False, length=32, values_callable=_values, validate_strings=True)


def _values(kind: Any) -> list[str]:
    return [member.value for member in kind]


class Identified:
    """A row with an id of `records.ids`."""

    id: Mapped[str] = mapped_column(String(26), primary_key=True)


class Authenticated:
    """A row that opens an account, with a keyed code over what it says (`row_authentication`)."""

    mac: Mapped[bytes | None] = mapped_column(LargeBinary(32))

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 - a class
        # Two who change a row at once would leave a code of neither: the second one fails.
        return {"version_id_col": cls.mac, "version_id_generator": False}


class Made:
    """A row that says when it was made and by whom; None is the program itself."""

    created_at: Mapped[datetime] = mapped_column(Moment)
    created_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))


class SignedBy:
    """A row that says who answers for something, and how they proved to be that person."""

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    title: Mapped[str] = mapped_column(String(60))
    registration: Mapped[str] = mapped_column(String(40))
    method: Mapped[Method] = mapped_column(enum_column(Method))
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the JSON of what was signed: the document, or the statement of a withdrawal."""
