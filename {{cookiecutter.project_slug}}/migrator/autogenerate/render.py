"""How operations and types are written into a revision, where Alembic would not do it as well.

A revision has to mean the same in years. So it names no type of the app, and nothing that a type
implies is left to the type.
"""

import ast
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops

from migrator.autogenerate.describe import as_text
from migrator.autogenerate.steps import SQL, AlterColumn, Comment, PrimaryKey


@renderers.dispatch_for(SQL)
def render_sql(_context: AutogenContext, op: SQL) -> list[str]:
    return [f"op.execute({as_text(statement)!r})" for statement in op.statements]


@renderers.dispatch_for(Comment)
def render_comment(_context: AutogenContext, op: Comment) -> list[str]:
    return [*op.lines, "pass"] if op.alone else op.lines


@renderers.dispatch_for(AlterColumn)
def render_alter_column(context: AutogenContext, op: AlterColumn) -> str:
    """Write a change as Alembic does, and add the arguments to the call."""
    call = parsed(alembic_text(context, op))
    for name, source in op.written.items():
        call.keywords.append(ast.keyword(name, ast.parse(source, mode="eval").body))
    return ast.unparse(call)


@renderers.dispatch_for(PrimaryKey)
def render_primary_key(context: AutogenContext, op: PrimaryKey) -> list[str]:
    """Write what drops a primary key, or makes one, for which Alembic has no renderer.

    One without a name, as SQLite may have it, is replaced when the new one is made.
    """
    if op.drops and not op.name:
        return []
    name = op.name or op.fallback
    drop = ops.DropConstraintOp(name, op.table_name, type_="primary", schema=op.schema)
    text: str = renderers.dispatch(ops.DropConstraintOp)(context, drop)[-1]
    if op.drops:
        return [text]
    call = parsed(text)  # the two calls differ in their name and in one argument
    call.func = ast.Attribute(call.func.value, "create_primary_key")  # type: ignore[attr-defined]
    call.keywords = [keyword for keyword in call.keywords if keyword.arg != "type_"]
    call.args.append(ast.List([ast.Constant(column) for column in op.columns]))
    return [ast.unparse(call)]


def alembic_text(context: AutogenContext, op: ops.AlterColumnOp) -> str:
    """Return a change of a column as Alembic's own renderer writes it."""
    render = renderers.dispatch(ops.AlterColumnOp)
    text: str = render(context, op)
    return text


def parsed(source: str) -> ast.Call:
    call = ast.parse(source, mode="eval").body
    if not isinstance(call, ast.Call):
        raise TypeError(f"Alembic does not write a call: {source}")
    return call


def alembic_argument(context: AutogenContext, op: ops.AlterColumnOp, name: str) -> str:
    """Return the source of one argument that Alembic writes for a change of a column.

    The functions that write types and defaults are private in Alembic. This gets the same text by
    what is public: Alembic writes a call with the type or the default in it, Python parses it.
    """
    text = alembic_text(context, op)
    keyword = next(keyword for keyword in parsed(text).keywords if keyword.arg == name)
    return ast.get_source_segment(text, keyword.value) or ast.unparse(keyword.value)


def alembic_type(context: AutogenContext, type_: sa.types.TypeEngine[Any]) -> str:
    """Return a type as Alembic writes it."""
    op = ops.AlterColumnOp("table", "column", existing_type=type_)
    return alembic_argument(context, op, "existing_type")


def render_item(kind: str, item: Any, context: AutogenContext) -> Any:
    """Write a type, or return False for Alembic to write it."""
    if kind != "type":
        return False
    simple = simpler(item, context)
    if simple is not item:
        return alembic_type(context, simple)
    return render_default_of_dialect(item, context)


def simpler(type_: sa.types.TypeEngine[Any], context: AutogenContext) -> sa.types.TypeEngine[Any]:
    """Return a type of SQLAlchemy that means the same, or the type itself."""
    if isinstance(type_, sa.types.TypeDecorator) and not is_public(type(type_)):
        return type_.load_dialect_impl(context.migration_context.dialect)
    if not is_public(type(type_)):
        return as_public(type_, context)
    if isinstance(type_, sa.Enum | sa.Boolean) and type_.create_constraint and type_.name:
        # The CHECK is written as a CHECK, by its name.
        return changed_copy(type_, "create_constraint")
    if getattr(type_, "create_type", False) and is_foreign(type_, context):
        # A variant for another database: SQLAlchemy would make the type in this one.
        return changed_copy(type_, "create_type")
    return type_


def is_public(class_: type) -> bool:
    """Tell whether SQLAlchemy, or one of its dialects, exports a class by its name.

    Drivers have subclasses of their own, which a dialect may return as a type's implementation.
    """
    package = ".".join(class_.__module__.split(".")[:3])
    places = [sa, sa.types]
    if package.startswith("sqlalchemy.dialects."):
        places = [import_module(package)]
    return any(getattr(place, class_.__name__, None) is class_ for place in places)


def as_public(type_: sa.types.TypeEngine[Any], context: AutogenContext) -> sa.types.TypeEngine[Any]:
    """Return a type as that of the nearest class that SQLAlchemy exports.

    What has no such class, such as a UserDefinedType, stays, and the revision imports it.
    """
    abstract = (sa.types.UserDefinedType, sa.types.TypeEngine, sa.types.TypeDecorator)
    for base in type(type_).__mro__:
        if is_public(base) and base not in abstract and issubclass(base, sa.types.TypeEngine):
            return type_.adapt(base)
    context.imports.add(f"import {type(type_).__module__}")
    return type_


def changed_copy(type_: Any, switch: str) -> sa.types.TypeEngine[Any]:
    """Return a copy of a type with one of its switches off."""
    copy: sa.types.TypeEngine[Any] = type_.copy()
    setattr(copy, switch, False)
    return copy


def is_foreign(type_: sa.types.TypeEngine[Any], context: AutogenContext) -> bool:
    """Tell whether a type is of another dialect than that of the database."""
    return dialect_of(type(type_)) not in ("", context.migration_context.dialect.name)


def dialect_of(class_: type) -> str:
    """Return the name of the dialect that a type belongs to, or nothing."""
    module = class_.__module__.split(".")
    return module[2] if module[:2] == ["sqlalchemy", "dialects"] else ""


def render_default_of_dialect(type_: sa.types.TypeEngine[Any], context: AutogenContext) -> Any:
    """Write a type of a dialect without arguments where it has the usual ones.

    Alembic would write `postgresql.JSONB(astext_type=Text())`, in which no `Text` is imported.
    """
    dialect = dialect_of(type(type_))
    if not dialect or repr(usual(type(type_))) != repr(type_):
        return False
    context.imports.add(f"from sqlalchemy.dialects import {dialect}")
    return f"{dialect}.{type(type_).__name__}()"


def usual(class_: type) -> object:
    """Return a type that was made without arguments, or None where that cannot be."""
    try:
        return class_()
    except TypeError:
        return None
