"""`python delta_rs.py <table folder> <changes>` lays changes on a table with delta-rs and prints its cost."""
import json, resource, sys, time

import pyarrow.dataset
from deltalake import DeltaTable

table, changes = sys.argv[1:3]
started = time.perf_counter()
metrics = (
    DeltaTable(table)
    .merge(
        source=pyarrow.dataset.dataset(changes).scanner().to_reader(),
        predicate="t.id = s.id",
        source_alias="s",
        target_alias="t",
        streamed_exec=True,
    )
    .when_matched_delete("s.__deleted")
    .when_matched_update({c: f"s.{c}" for c in ["customer", "status", "amount", "updated_at", "note"]})
    .when_not_matched_insert({c: f"s.{c}" for c in ["id", "customer", "status", "amount", "updated_at", "note"]}, "not s.__deleted")
    .execute()
)
wall = time.perf_counter() - started
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"wallMs": wall * 1000, "cpuMs": (usage.ru_utime + usage.ru_stime) * 1000, "rssMb": usage.ru_maxrss / 1024, "metrics": metrics}))
