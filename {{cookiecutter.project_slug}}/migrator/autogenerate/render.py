"""How operations and types are written into a revision, where Alembic's way is not enough.

A revision has to mean the same in years. So it names no type of the app, which may change, and it
states whatever a type implies, such as a CHECK.
"""

import ast
from importlib import import_module
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops

from migrator.autogenerate.describe import as_text
from migrator.autogenerate.steps import SQL, AlterColumn, Comment, EitherName, PrimaryKey


@renderers.dispatch_for(SQL)
def render_sql(_context: AutogenContext, op: SQL) -> list[str]:
    return [f"op.execute({as_text(statement)!r})" for statement in op.statements]


@renderers.dispatch_for(Comment)
def render_comment(_context: AutogenContext, op: Comment) -> list[str]:
    return [*op.lines, "pass"] if op.alone else op.lines


@renderers.dispatch_for(AlterColumn)
def render_alter_column(context: AutogenContext, op: AlterColumn) -> str:
    """Write the call that Alembic would write, with further arguments."""
    call = parsed(alembic_text(context, op))
    for name, source in op.written.items():
        call.keywords.append(ast.keyword(name, ast.parse(source, mode="eval").body))
    return ast.unparse(call)


@renderers.dispatch_for(PrimaryKey)
def render_primary_key(context: AutogenContext, op: PrimaryKey) -> list[str]:
    """Write the call that drops or creates a primary key.

    Alembic has a renderer for the drop alone. A key without a name cannot be dropped: the creation
    of the new one replaces it.
    """
    if op.drops and not op.name:
        return []
    name = op.name or op.fallback
    drop = ops.DropConstraintOp(name, op.table_name, type_="primary", schema=op.schema)
    text: str = renderers.dispatch(ops.DropConstraintOp)(context, drop)[-1]
    if op.drops:
        return [text]
    # To create it, the call has another name, the columns, and no `type_`.
    call = parsed(text)
    call.func = ast.Attribute(call.func.value, "create_primary_key")  # type: ignore[attr-defined]
    call.keywords = [keyword for keyword in call.keywords if keyword.arg != "type_"]
    call.args.append(ast.List([ast.Constant(column) for column in op.columns]))
    return [ast.unparse(call)]


@renderers.dispatch_for(EitherName)
def render_either_name(context: AutogenContext, op: EitherName) -> list[str]:
    """Write the drop by each name."""
    lines: list[str] = []
    for drop in op.drops:
        text = renderers.dispatch(type(drop))(context, drop)
        lines += [text] if isinstance(text, str) else text
    return lines


def alembic_text(context: AutogenContext, op: ops.AlterColumnOp) -> str:
    """Return a change of a column as Alembic's own renderer writes it."""
    render = renderers.dispatch(ops.AlterColumnOp)
    text: str = render(context, op)
    return text


def parsed(source: str) -> ast.Call:
    """Return a call in Python as a tree; raise TypeError if the source is not one call."""
    call = ast.parse(source, mode="eval").body
    if not isinstance(call, ast.Call):
        raise TypeError(f"Alembic does not write a call: {source}")
    return call


def alembic_argument(context: AutogenContext, op: ops.AlterColumnOp, name: str) -> str:
    """Return the source of one argument that Alembic writes for a change of a column.

    Alembic's functions that write a type or a default are private. This takes the public way to the
    same text: Alembic writes a call that contains it, and Python parses the call.
    """
    text = alembic_text(context, op)
    keyword = next(keyword for keyword in parsed(text).keywords if keyword.arg == name)
    return ast.get_source_segment(text, keyword.value) or ast.unparse(keyword.value)


def alembic_type(context: AutogenContext, type_: sa.types.TypeEngine[Any]) -> str:
    """Return a type as Alembic writes it."""
    op = ops.AlterColumnOp("table", "column", existing_type=type_)
    return alembic_argument(context, op, "existing_type")


def render_item(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """Return the source of a type, or False to let Alembic write the item."""
    if kind != "type" or not isinstance(item, sa.types.TypeEngine):
        return False
    type_ = public_type(item, context)
    if type_ is not item:
        return alembic_type(context, type_)
    return render_without_arguments(item, context)


def public_type(
    type_: sa.types.TypeEngine[Any], context: AutogenContext
) -> sa.types.TypeEngine[Any]:
    """Return a type of SQLAlchemy that means the same, without what the revision says elsewhere.

    Return the type itself if it is such a type already.
    """
    if isinstance(type_, sa.types.TypeDecorator) and not is_public(type(type_)):
        return type_.load_dialect_impl(context.migration_context.dialect)
    if not is_public(type(type_)):
        return nearest_public_type(type_, context)
    if isinstance(type_, sa.Enum | sa.Boolean) and type_.create_constraint and type_.name:
        # The revision has the CHECK by its name, so the type must not add another one.
        return copy_with_off(type_, "create_constraint")
    if getattr(type_, "create_type", False) and is_foreign(type_, context):
        # A variant for another kind of database. SQLAlchemy would create the type in this one.
        return copy_with_off(type_, "create_type")
    return type_


def is_public(class_: type) -> bool:
    """Tell whether SQLAlchemy, or one of its dialects, exports a class by its name.

    A dialect may return the implementation of a type as a private class of its driver.
    """
    package = ".".join(class_.__module__.split(".")[:3])
    places = [sa, sa.types]
    if package.startswith("sqlalchemy.dialects."):
        places = [import_module(package)]
    return any(getattr(place, class_.__name__, None) is class_ for place in places)


def nearest_public_type(
    type_: sa.types.TypeEngine[Any], context: AutogenContext
) -> sa.types.TypeEngine[Any]:
    """Return a type as one of the nearest base class that SQLAlchemy exports.

    Return the type itself, and have the revision import it, if there is no such class, as for a
    UserDefinedType.
    """
    abstract = (sa.types.UserDefinedType, sa.types.TypeEngine, sa.types.TypeDecorator)
    for base in type(type_).__mro__:
        if is_public(base) and base not in abstract and issubclass(base, sa.types.TypeEngine):
            return type_.adapt(base)
    context.imports.add(f"import {type(type_).__module__}")
    return type_


def copy_with_off(type_: sa.types.TypeEngine[Any], switch: str) -> sa.types.TypeEngine[Any]:
    """Return a copy of a type in which the attribute named `switch` is False."""
    copy = type_.copy()
    setattr(copy, switch, False)
    return copy


def is_foreign(type_: sa.types.TypeEngine[Any], context: AutogenContext) -> bool:
    """Tell whether a type is of another dialect than that of the database."""
    return dialect_of(type(type_)) not in ("", context.migration_context.dialect.name)


def dialect_of(class_: type) -> str:
    """Return the name of the dialect that the class of a type belongs to, or "" if to none."""
    module = class_.__module__.split(".")
    return module[2] if module[:2] == ["sqlalchemy", "dialects"] else ""


def render_without_arguments(
    type_: sa.types.TypeEngine[Any], context: AutogenContext
) -> str | Literal[False]:
    """Write a type of a dialect without arguments, or return False if it needs some.

    Alembic would write the default arguments as well: `postgresql.JSONB(astext_type=Text())`, for
    which the revision does not import `Text`.
    """
    dialect = dialect_of(type(type_))
    if not dialect or repr(made_without_arguments(type(type_))) != repr(type_):
        return False
    context.imports.add(f"from sqlalchemy.dialects import {dialect}")
    return f"{dialect}.{type(type_).__name__}()"


def made_without_arguments(class_: type) -> object:
    """Return an instance of a class, or None if the class needs arguments."""
    try:
        return class_()
    except TypeError:
        return None
