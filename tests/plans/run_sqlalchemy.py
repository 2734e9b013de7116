"""Plans run by Cerbos' adapter for SQLAlchemy, on SQLite in memory. A line of JSON asks, a line answers.

    {"columns": [[name, type], ...], "rows": [[value, ...], ...]}  the table, and no other  {"loaded": n}
    {"plan": a PlanResources reply}                                {"ids": [...]} or {"refused": why}
"""

import json
import sys
from datetime import datetime, timedelta, timezone

try:
    from cerbos.sdk.model import PlanResourcesResponse
    from cerbos_sqlalchemy import get_query
    from cerbos_sqlalchemy.query import OPERATOR_FNS
    from sqlalchemy import (
        BigInteger, Boolean, Column, Float, MetaData, String, Table, Text,
        case, create_engine, event, exists, func, literal, null, or_, select, type_coerce,
    )
    from sqlalchemy.pool import StaticPool
    from sqlalchemy.types import TypeDecorator
except ImportError as error:
    print(json.dumps(f"{sys.executable} has not what it needs: {error}"), flush=True)
    sys.exit()

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Instant(TypeDecorator):
    """Milliseconds since 1970; compared with RFC 3339, which is what a plan has."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value, dialect):
        if isinstance(value, str):
            return (datetime.fromisoformat(value) - EPOCH) // timedelta(milliseconds=1)
        return value


class Items(TypeDecorator):
    """A list, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return None if value is None else json.dumps(value)


TYPES = {"string": String, "int": BigInteger, "double": Float, "bool": Boolean, "timestamp": Instant, "list": Items}


def is_list(operand):
    return isinstance(getattr(operand, "type", None), Items)


def member(left, right):
    """`in`, of what the adapter's README asks an override for: a column that holds a list."""
    if not is_list(left) and not is_list(right):
        return OPERATOR_FNS["in"](left, right)
    items, element = (left, right) if is_list(left) else (right, left)
    element = element if hasattr(element, "is_") else literal(element)
    each = func.json_each(type_coerce(items, Text)).table_valued("value")
    found = exists(select(1).select_from(each).where(each.c.value == element).correlate(items.table))
    return case((or_(items.is_(None), element.is_(None)), null()), else_=found)


def size(operand, _):
    return func.json_array_length(type_coerce(operand, Text)) if is_list(operand) else func.length(operand)


engine = create_engine("sqlite://", poolclass=StaticPool)


@event.listens_for(engine, "connect")
def connected(connection, _):
    # The adapter's README: texts are told apart by case.
    connection.execute("PRAGMA case_sensitive_like = ON")


connection = engine.connect()
table = None


def load(columns, rows):
    global table
    if table is not None:
        table.drop(connection)
    table = Table("records", MetaData(), *(Column(name, TYPES[kind]) for name, kind in columns))
    table.create(connection)
    names = [name for name, _ in columns]
    connection.execute(table.insert(), [dict(zip(names, row)) for row in rows])
    return {"loaded": len(rows)}


def variable(name):
    return "request.resource.id" if name == "id" else "request.resource.attr." + name


def run(plan):
    attributes = {variable(column.name): column for column in table.columns}
    try:
        plan = PlanResourcesResponse.from_dict(plan)
        query = get_query(plan, table, attributes, operator_override_fns={"in": member, "size": size})
    except (KeyError, TypeError, ValueError) as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    return {"ids": [row.id for row in connection.execute(query)]}


print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = run(request["plan"]) if "plan" in request else load(request["columns"], request["rows"])
    except Exception as error:
        answer = {"failed": repr(error)}
    print(json.dumps(answer), flush=True)
