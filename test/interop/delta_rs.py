"""What delta-rs says of a table, or does to one. Called by the tests beside it; prints one JSON object.

  delta_rs.py read TABLE OUT.parquet [VERSION]   rows into a Parquet file; version, columns, transactions and files as JSON
  delta_rs.py run TABLE                          runs the Python on standard input with `table`, `dl` and `pa` in scope
"""

import json
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import deltalake as dl
import pyarrow as pa
import pyarrow.parquet as pq


def read(table, out, version=None):
    dt = dl.DeltaTable(table, version=None if version is None else int(version))
    rows = pa.table(dl.QueryBuilder().register("t", dt).execute("select * from t").read_all())
    pq.write_table(rows.cast(pa.schema([field.with_type(plain(field.type)) for field in rows.schema])), out)
    files = pa.table(dt.get_add_actions(flatten=True)).to_pylist()
    protocol = dt.protocol()
    return {
        "version": dt.version(),
        "rows": rows.num_rows,
        "columns": [field.name for field in dt.schema().fields],
        "files": files,
        "readerVersion": protocol.min_reader_version,
        "transactions": {app: dt.transaction_version(app) for app in ("orders",)},
    }


def plain(type):
    """The type without views, which pyarrow does not write to Parquet."""
    if type == pa.string_view():
        return pa.string()
    if type == pa.binary_view():
        return pa.binary()
    if pa.types.is_map(type):
        return pa.map_(plain(type.key_type), plain(type.item_type))
    if pa.types.is_list(type):
        return pa.list_(plain(type.value_type))
    if pa.types.is_struct(type):
        return pa.struct([field.with_type(plain(field.type)) for field in type])
    return type


def run(table):
    scope = {
        "table": table,
        "dl": dl,
        "pa": pa,
        "Decimal": Decimal,
        "datetime": datetime,
        "timedelta": timedelta,
        "timezone": timezone,
        "result": None,
    }
    exec(sys.stdin.read(), scope)
    return scope["result"]


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    print(json.dumps({"read": read, "run": run}[command](*arguments), default=str))
