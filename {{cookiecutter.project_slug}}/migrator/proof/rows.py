"""Made-up rows: a revision that is judged without rows loses none, and with tame ones few.

A database is not asked what it takes, but given values until it takes one: CHECKs, types of its own
and its character set are its business.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import chain, islice, product
from typing import Any

import sqlalchemy as sa

from migrator.order import ordered
from migrator.proof.contents import Row, Table, TableName, Tables, inserted, read_rows
from migrator.proof.documents import document, has_keys, is_json
from migrator.proof.running import Declared
from migrator.proof.special import Special
from migrator.proof.values import Type, Value, python_type, tame_value, values_in, wild_values

Columns = Mapping[str, Type]  # the types of some columns of a table, by name
FIRST = 30_001  # above the ids that revisions give to rows of their own
FIRST_OF_FEW = 71  # for a key of a type that has no 30,001
ROWS = 8  # that a table gets, or as many as a column has values to try, up to the most
MOST_ROWS = 24
TAME_ROWS = 2  # one has no order, and nothing to be confused with
ATTEMPTS = 1000  # to find a row that all CHECKs take


@dataclass(frozen=True)
class Gap:
    """A table that got no row, or a column of it that got no value; `reason` is the database's."""

    table: TableName
    column: str | None
    reason: str


@dataclass(frozen=True)
class Unit:
    """Columns that get their values together, such as those of a foreign key.

    `choices` returns the values to choose from for a row of a number, always as many. The first of
    them are `wished` for, or all; what follows is for where the database takes none of those. In a
    `unique` one, no two rows may have the same, and only the first choice differs by the number. In
    a `hard` one, another one than the first may have to be searched for. `checks` are the names of
    the CHECKs that name it, or their texts.
    """

    columns: Sequence[str]
    choices: Callable[[int], Sequence[Row]]
    wished: int | None = None
    unique: bool = False
    checks: frozenset[str] = frozenset()
    hard: bool = False

    @cached_property
    def size(self) -> int:
        return len(self.choices(FIRST))

    def wish(self, row: int, place: int) -> int:
        """Return which choice a row should take, if this unit has a place among others.

        It is another one than that of the row before. The first row takes a value, because there
        may be no other.
        """
        size = self.wished or self.size
        choice = 0 if self.unique and row >= size else (row + place) % size
        is_empty = set(self.choices(FIRST)[choice].values()) == {None}
        return 0 if is_empty and row == 0 else choice


Choice = tuple[int, ...]  # which of its choices each unit takes


class Rows:
    """Fills the tables of a database with made-up rows.

    They are wild, which is what real rows are: values near the limits of a type, quotes, nothing at
    all. Those that are `tame` are two for each table, with short texts and small numbers.
    """

    def __init__(
        self,
        connection: sa.Connection,
        special: Special,
        declared: Declared | None = None,
        tame: bool = False,
    ) -> None:
        self.connection, self.special, self.tame = connection, special, tame
        self.declared = {} if declared is None else declared
        self.first: dict[TableName, int] = defaultdict(lambda: FIRST)
        self.filled: set[tuple[TableName, str]] = set()  # new columns that have rows of their own
        self.empty: set[TableName] = set()  # tables that no row could be made up for

    def fill(self, before: Tables, now: Tables) -> list[Gap]:
        """Give rows to each table that has none, and to others values in their new columns.

        Where the revision has filled a new column, its values stay, and rows are added that have
        others there, as the service would. `before` is what the database held when it was filled
        last, and `now` what it holds. Returns the tables and the new columns that no value could be
        made up for.
        """
        gaps: list[Gap] = []
        for name in parents_first(now):
            table = now[name]
            new = writable(table, before.get(name, table).column_names)
            filled = {(name, column) for column in new if is_filled(table, column)}
            if not table.rows or not filled <= self.filled:
                gaps += self.add_rows(name, table)
            elif new and not filled:
                gaps += self.add_values(name, table, new)
            self.filled |= filled
        self.connection.commit()
        return gaps

    def add_rows(self, name: TableName, table: Table) -> list[Gap]:
        """Insert rows into a table."""
        if missing := self.missing_parent(table):
            self.empty.add(name)
            return [Gap(name, None, f"{missing} has no row to refer to")]
        columns = writable(table, known=set())
        insert = name.clause(*map(sa.column, columns)).insert()
        units = self.units(name, table, columns)
        filling = Filling(self.connection, units, lambda _: insert, self.first[name])
        self.first[name] += MOST_ROWS * 2
        reason = filling.fill(self.count(filling), distinct=self.tame)
        if not filling.done:
            self.empty.add(name)
            return [Gap(name, None, reason)]
        self.refer_to_each_other(name, table)
        return self.empty_columns(name, columns, reason)

    def missing_parent(self, table: Table) -> TableName | None:
        """Return a table without rows that each row of this one would have to refer to.

        SQLite does not look at that before the end of the transaction.
        """
        for key in foreign_keys(table):
            needed = not all(is_nullable(table, column) for column in key["constrained_columns"])
            if needed and parent(key) in self.empty:
                return parent(key)
        return None

    def add_values(self, name: TableName, table: Table, columns: Columns) -> list[Gap]:
        """Update rows of a table, in its new columns."""
        update = name.clause(*map(sa.column, columns)).update()

        def of_row(place: int) -> sa.Update:
            return update.where(*same(table, table.rows[place]))

        filling = Filling(self.connection, self.units(name, table, columns), of_row)
        reason = filling.fill(min(self.count(filling), len(table.rows)), distinct=True)
        return self.empty_columns(name, columns, reason)

    def fit(self, tables: Tables, source: str, keys: Sequence[str]) -> None:
        """Give to the JSON in tables the keys that the revision with this source reads."""
        for name, table in tables.items():
            for column, type_ in writable(table, known=set()).items():
                known = self.declared.get((name.name, column), type_)
                is_text = is_json([row[column] for row in table.rows])
                is_named = re.search(rf"\b{re.escape(column)}\b", source)
                if is_named and (is_text or isinstance(known, sa.JSON)):
                    self.fit_column(name, table, column, keys)
        self.connection.commit()

    def fit_column(self, name: TableName, table: Table, column: str, keys: Sequence[str]) -> None:
        named = [key for key in keys if key not in table.column_names - {column}] or keys
        for number, row in enumerate(table.rows, FIRST):
            if row[column] is not None and not has_keys(row[column], named):
                change = name.clause(sa.column(column)).update().where(*same(table, row))
                refusal(self.connection, change.values({column: document(named, number)}))

    def count(self, filling: "Filling") -> int:
        """Return how many rows a table gets."""
        if self.tame:
            return TAME_ROWS
        own = [unit.size + 1 for unit in filling.units if unit.wished is None]
        return min(max([ROWS, *own]), MOST_ROWS)

    def empty_columns(self, name: TableName, columns: Columns, reason: str) -> list[Gap]:
        """Return the columns that have no value in any row, though they refer to no other table."""
        counts = [sa.func.count(sa.column(column)) for column in columns]
        found = self.connection.execute(sa.select(*counts).select_from(name.clause())).one()
        empty = [column for column, count in zip(columns, found, strict=True) if not count]
        return [
            Gap(name, column, reason if self.is_known(columns[column]) else "its type is not known")
            for column in empty
            if reason or not self.is_known(columns[column])
        ]

    def is_known(self, type_: Type) -> bool:
        return python_type(type_) is not None or self.special.values(type_, FIRST) is not None

    # ----- What a row may hold

    def units(self, name: TableName, table: Table, columns: Columns) -> list[Unit]:
        """Return the columns with the values that are tried for them, one by one or by key."""
        found = [self.reference(name, table, key, columns) for key in foreign_keys(table)]
        references = [unit for unit in found if unit.columns]
        referring = set(chain.from_iterable(unit.columns for unit in references))
        types = {
            column: self.declared.get((name.name, column), columns[column]) for column in columns
        }
        others = [column for column in columns if column not in referring]
        return [
            *(self.unit(name, table, column, types[column], columns) for column in others),
            *references,
        ]

    def unit(
        self, name: TableName, table: Table, column: str, type_: Type, columns: Columns
    ) -> Unit:
        """Return a column that refers to no other."""
        found = [check for check in table.parts["check_constraints"] if is_named_in(check, column)]
        checks = [check["sqltext"] for check in found]
        place = [*columns].index(column)
        key = column in table.key
        nullable = is_nullable(table, column)
        known = self.is_known(type_)
        texts = [] if known else self.texts(name, column)

        @cache
        def choices(number: int) -> Sequence[Row]:
            values = self.values(type_, number if key else number + place, key)
            values += chain.from_iterable(values_in(check, type_) for check in checks)
            values += texts
            if nullable or not values:
                values.append(None)
            return [{column: value} for value in values]

        few = self.tame or (key and python_type(type_) is int)
        hard = bool(checks) or not (nullable or known)
        unique = [column] in unique_columns(table)
        named = frozenset(check["name"] or check["sqltext"] for check in found)
        return Unit([column], choices, 1 if few else None, unique, named, hard)

    def values(self, type_: Type, number: int, key: bool) -> list[Value]:
        """Return values of a type: the first one differs from that of another number."""
        if (own := self.special.values(type_, number)) is not None:
            return [*own][: 1 if self.tame else None]
        if python_type(type_) is None:
            return []
        tame = tame_value(type_, number)
        if key and python_type(type_) is int:  # a sequence may go on after it
            return [tame, str(number - FIRST + FIRST_OF_FEW)]
        return [tame] if self.tame else [tame, *wild_values(type_)]

    def texts(self, name: TableName, column: str) -> list[Value]:
        """Return the texts that the database may read as values of a column of an unknown type."""
        return [text for text in self.special.TEXTS if self.may_be(name, column, text)]

    def may_be(self, name: TableName, column: str, text: str) -> bool:
        read: Any = sa.func.coalesce(
            sa.column(column), sa.bindparam(None, text, sa.types.NullType())
        )
        query = sa.select(read).select_from(name.clause()).where(sa.false())
        return not refusal(self.connection, query)

    def reference(
        self, name: TableName, table: Table, key: dict[str, Any], columns: Columns
    ) -> Unit:
        """Return the columns of a foreign key, with the rows that it may refer to."""
        pairs = [
            (mine, theirs)
            for mine, theirs in zip(
                key["constrained_columns"], key["referred_columns"], strict=True
            )
            if mine in columns
        ]
        mine = [mine for mine, _ in pairs]
        rows = [] if parent(key) == name else read_rows(self.connection, parent(key))
        there: list[Row] = [{mine: row.get(theirs) for mine, theirs in pairs} for row in rows]
        if all(is_nullable(table, column) for column in mine):
            there.insert(2, dict.fromkeys(mine))  # among the first, so that it has its turn

        def choices(number: int) -> Sequence[Row]:
            return there or [dict.fromkeys(mine, str(number))]  # a row may refer to itself

        return Unit(mine, choices, wished=len(there) or 1)

    def refer_to_each_other(self, name: TableName, table: Table) -> None:
        """Let new rows refer to others of their own table, where it has such a key."""
        for key in foreign_keys(table):
            if parent(key) != name:
                continue
            now = replace(table, rows=read_rows(self.connection, name))
            rows = inserted(table, now)
            pairs = [*zip(key["constrained_columns"], key["referred_columns"], strict=True)]
            for row, other in zip(rows[1::2], rows, strict=False):
                values = {mine: other[theirs] for mine, theirs in pairs}
                update = name.clause(*map(sa.column, values)).update().where(*same(table, row))
                refusal(self.connection, update.values(values))


class Filling:
    """Rows or columns of a table that are being filled, by the values that the database takes.

    `change` returns the INSERT or the UPDATE of the row at a place.
    """

    def __init__(
        self,
        connection: sa.Connection,
        units: Sequence[Unit],
        change: Callable[[int], sa.Insert | sa.Update],
        first: int = FIRST,
    ) -> None:
        self.connection, self.units, self.change = connection, units, change
        self.first = first  # the number of the first row
        self.done = 0  # rows

    def fill(self, count: int, distinct: bool) -> str:
        """Fill rows; return why the database refused some of them, or "" if it took all.

        The last one repeats the first, unless all have to be `distinct`.
        """
        places = [*range(count)]
        wishes = [self.values(place, self.wish(place)) for place in places]
        if not self.refusal([*zip(places, wishes, strict=True)]):
            self.done = count
            if not distinct:
                self.refusal([(count, self.repeated(count))])
            return ""
        return self.fill_one_by_one(count)

    def fill_one_by_one(self, count: int) -> str:
        """Fill rows with what is taken of the values that they should have."""
        base, reason = self.base()
        if base is None:
            return reason
        taken = [self.taken(place, base) for place in range(len(self.units))]
        for row in range(count):
            wish = tuple(
                choices[(row + place) % len(choices)] for place, choices in enumerate(taken)
            )
            if not self.takes(row, wish):
                if not self.takes(row, base):  # it would be the same twice
                    continue
                wish = self.closest(row, base, wish)
            self.done += not self.refusal([(row, self.values(row, wish))])
        return reason

    def taken(self, place: int, base: Choice) -> list[int]:
        """Return the choices of a unit that the database takes, beside the others of a base."""
        unit = self.units[place]
        found = [n for n in range(unit.size) if self.takes(0, replaced(base, place, n))]
        wished = [n for n in found if unit.wished is None or n < unit.wished]
        return wished or found or [base[place]]

    def base(self) -> tuple[Choice | None, str]:
        """Return a row that the database takes, and why it refused the first that was tried."""
        sizes = [unit.size for unit in self.units]
        first, last = tuple(0 for _ in sizes), tuple(size - 1 for size in sizes)
        reason = self.why_not(first)
        for choice in (self.climb(first), self.climb(last)):
            if choice is not None:
                return choice, reason
        for choice in islice(self.candidates(first, last), ATTEMPTS):
            if not self.why_not(choice):
                return choice, reason
        return None, reason

    def climb(self, choice: Choice) -> Choice | None:
        """Return a row that fulfils one CHECK after the other, or None where that leads nowhere.

        Each database names the CHECK that it refuses a row for.
        """
        done: set[str] = set()
        while check := self.blamed(self.why_not(choice)):
            done.add(check)
            for other in islice(self.changed_for(check, choice), ATTEMPTS):
                reason = self.why_not(other)
                if self.blamed(reason) not in done:
                    choice = other
                    break
            else:
                return None
        return None if self.why_not(choice) else choice

    def changed_for(self, check: str, choice: Choice) -> Iterator[Choice]:
        """Yield a row with all other values of the columns that a CHECK names."""
        yield from product(
            *(
                range(unit.size) if check in unit.checks else [number]
                for unit, number in zip(self.units, choice, strict=True)
            )
        )

    def blamed(self, reason: str) -> str | None:
        """Return the CHECK that the database names as the reason, or None for another one."""
        checks = sorted(set().union(*(unit.checks for unit in self.units)), key=len, reverse=True)
        return next((check for check in checks if check in reason), None)

    def why_not(self, choice: Choice) -> str:
        return self.refusal([(0, self.values(0, choice))], undo=True)

    def candidates(self, *others: Choice) -> Iterator[Choice]:
        """Yield rows to try: first choices, second ones and so on; then all for what is hard."""
        for attempt in range(max((unit.size for unit in self.units), default=1)):
            yield tuple(attempt % unit.size for unit in self.units)
        for choice in others:
            yield from product(
                *(
                    range(unit.size) if unit.hard else [number]
                    for unit, number in zip(self.units, choice, strict=True)
                )
            )

    def closest(self, row: int, base: Choice, wish: Choice) -> Choice:
        """Return the base with as much of a wish as is taken together."""
        found = base
        for place, choice in enumerate(wish):
            if self.takes(row, changed := replaced(found, place, choice)):
                found = changed
        return found

    def wish(self, row: int) -> Choice:
        """Return what a row should hold."""
        return tuple(unit.wish(row, place) for place, unit in enumerate(self.units))

    def repeated(self, row: int) -> Row:
        """Return the values of the first row, but for those that may not be there twice."""
        first, new = self.values(0, self.wish(0)), self.values(row, self.wish(row))
        unique = [column for unit in self.units if unit.unique for column in unit.columns]
        return first | {column: new[column] for column in unique}

    def values(self, row: int, choice: Choice) -> Row:
        found: Row = {}
        for unit, number in zip(self.units, choice, strict=True):
            found |= unit.choices(self.first + row)[number]
        return found

    def takes(self, row: int, choice: Choice) -> bool:
        return not self.refusal([(row, self.values(row, choice))], undo=True)

    def refusal(self, rows: Sequence[tuple[int, Row]], undo: bool = False) -> str:
        """Fill some rows; return why the database refused, or "" if it did not."""
        return refusal(
            self.connection, *(self.change(row).values(values) for row, values in rows), undo=undo
        )


def refusal(connection: sa.Connection, *changes: sa.Executable, undo: bool = False) -> str:
    """Change the database, all or nothing; return why it refused, or "" if it did not."""
    savepoint = connection.begin_nested()
    try:
        for change in changes:
            connection.execute(change)
    except (sa.exc.SQLAlchemyError, UnicodeError) as error:  # not all encodings have all characters
        savepoint.rollback()
        return str(getattr(error, "orig", error)).strip()
    if undo:
        savepoint.rollback()
    else:
        savepoint.commit()
    return ""


def replaced(choice: Choice, place: int, number: int) -> Choice:
    return (*choice[:place], number, *choice[place + 1 :])


def same(table: Table, row: Row) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that find a row."""
    return [sa.column(name).is_not_distinct_from(row[name]) for name in table.identity(row)]


def parents_first(tables: Tables) -> list[TableName]:
    """Return the names of tables, each after those that it refers to.

    In a circle of tables, the first by name comes first.
    """
    return ordered(
        {
            name: {parent(key) for key in foreign_keys(table)} & tables.keys()
            for name, table in tables.items()
        }
    )


def foreign_keys(table: Table) -> list[dict[str, Any]]:
    """Return the foreign keys of a table."""
    return table.parts["foreign_keys"]


def parent(key: dict[str, Any]) -> TableName:
    """Return the name of the table that a foreign key refers to."""
    return TableName(key["referred_schema"] or "", key["referred_table"])


def writable(table: Table, known: set[str]) -> Columns:
    """Return the types of the columns that may be written and are not known, by name."""
    columns = [column for column in table.parts["columns"] if not is_generated(column)]
    return {c["name"]: c["type"] for c in columns if c["name"] not in known}


def is_generated(column: dict[str, Any]) -> bool:
    """Tell whether the database alone writes a column."""
    return "computed" in column or bool(column.get("identity", {}).get("always"))


def is_nullable(table: Table, name: str) -> bool:
    key = table.key
    return name not in key and any(
        column["name"] == name and column["nullable"] for column in table.parts["columns"]
    )


def is_filled(table: Table, column: str) -> bool:
    """Tell whether a revision has filled a new column, and not only with a default."""
    values = {repr(row[column]) for row in table.rows} - {"None"}
    return len(values) > 1 or (len(values) == 1 and len(table.rows) == 1)


def unique_columns(table: Table) -> list[list[str]]:
    """Return the columns of each unique constraint and index, and of the key."""
    uniques = [unique["column_names"] for unique in table.parts["unique_constraints"]]
    indexes = [index["column_names"] for index in table.parts["indexes"] if index["unique"]]
    return [table.key, *uniques, *indexes]


def is_named_in(check: dict[str, Any], column: str) -> bool:
    """Tell whether a CHECK names a column."""
    return bool(re.search(rf"\b{re.escape(column)}\b", check["sqltext"]))
