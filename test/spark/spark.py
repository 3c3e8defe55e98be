"""Spark with Delta Lake, called by the tests beside it: `spark.py JARS`. Each line of standard input is Python as a JSON
string, run with `spark` and `rows` (of a query, as a list of dicts) in scope; what it leaves in `result`, or its error, is
printed as one line of JSON that begins with `> `."""

import glob
import json
import sys
import traceback

from pyspark.sql import SparkSession

settings = {
    "spark.jars": ",".join(glob.glob(f"{sys.argv[1]}/delta-s*.jar") + glob.glob(f"{sys.argv[1]}/antlr4-runtime-*.jar")),
    "spark.driver.memory": "2g",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
builder = SparkSession.builder.master("local[2]")
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")

for line in sys.stdin:
    scope = {"spark": spark, "rows": lambda sql: [row.asDict(True) for row in spark.sql(sql).collect()], "result": None}
    try:
        exec(json.loads(line), scope)
        reply = {"result": scope["result"]}
    except Exception:
        reply = {"error": traceback.format_exc(limit=-2)}
    print("> " + json.dumps(reply, default=str), flush=True)
