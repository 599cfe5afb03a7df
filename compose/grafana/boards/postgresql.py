"""PostgreSQL: what services do to their databases, and how these bear it."""

from .model import BAD, OF_SERIES, WARNING, Board, limits, query

BOARD = Board("postgresql", "Commits, pools and the databases behind them. What is read from a database is its own, whatever replica tells it.")

BOARD.row("Group commit")
BOARD.graph("Time of a commit", "How long a batch takes: half of them, and 99 of 100.", "s",
    [query(f"histogram_quantile({share}, sum by (service, le) (rate(committer_batch_seconds_bucket{{<S>}}[<R>])))", f"{{{{service}}}} p{round(share * 100)}")
     for share in (0.5, 0.99)], thresholds=limits((0.1, WARNING)), to=[("red", "service")], traces=OF_SERIES)
BOARD.graph("Size of a batch", "Entries that one commit carries, on average. It grows with the load.", "none",
    [query("sum by (service) (rate(committer_batch_size_sum{<S>}[<R>])) / sum by (service) (rate(committer_batch_size_count{<S>}[<R>]))", "{{service}}")])
BOARD.graph("Conflicts and retries", "Entries refused because another writer was faster, and batches tried again because the database was away.", "ops",
    [query("sum by (service) (rate(committer_conflicts_total{<S>}[<R>]))", "{{service}} conflicts"),
     query("sum by (service) (rate(committer_retries_total{<S>}[<R>]))", "{{service}} retries")], thresholds=limits((1, WARNING)))

BOARD.row("Pools")
BOARD.graph("Connections in use", "The share of a pool that is in use.", "percentunit",
    [query('sum by (service) (db_pool_connections{state="in_use",<S>}) / sum by (service) (db_pool_connections_max{<S>})', "{{service}}")],
    thresholds=limits((0.7, WARNING), (0.9, BAD)), to=[("red", "service")])
BOARD.graph("Connections", "Connections of a pool, by what they do.", "none",
    [query("sum by (service, state) (db_pool_connections{<S>})", "{{service}} {{state}}")], stack=True)
BOARD.graph("Wait for a connection", "How long it takes to get one, 99 of 100 times.", "s",
    [query("histogram_quantile(0.99, sum by (service, le) (rate(db_pool_acquire_seconds_bucket{<S>}[<R>])))", "{{service}} p99")],
    thresholds=limits((0.1, WARNING), (1, BAD)), traces=OF_SERIES)

BOARD.row("Databases")
BOARD.graph("Sessions", "Sessions on a service's database, of all replicas.", "none",
    [query("max by (service, state) (postgres_connections{<S>})", "{{service}} {{state}}")], stack=True)
BOARD.graph("Transactions", "Transactions by how they ended, by the second.", "ops",
    [query("max by (service, outcome) (rate(postgres_transactions_total{<S>}[<R>]))", "{{service}} {{outcome}}")])
BOARD.graph("Found in memory", "The share of blocks that were in shared buffers.", "percentunit",
    [query('max by (service) (rate(postgres_blocks_total{source="cache",<S>}[<R>])) / max by (service) (sum without (source) (rate(postgres_blocks_total{<S>}[<R>])))', "{{service}}")],
    thresholds={"mode": "absolute", "steps": [{"color": BAD, "value": None}, {"color": WARNING, "value": 0.9}, {"color": "green", "value": 0.99}]})
BOARD.graph("Oldest transaction", "For how long the oldest one has been open. It keeps locks, and rows that nobody needs.", "s",
    [query("max by (service) (postgres_oldest_transaction_seconds{<S>})", "{{service}}")], thresholds=limits((60, WARNING), (300, BAD)))
BOARD.graph("Waiting for locks", "Sessions that wait for a lock.", "none",
    [query("max by (service) (postgres_locks_waiting{<S>})", "{{service}}")], thresholds=limits((5, WARNING)))
BOARD.graph("Deadlocks", "Deadlocks that the server ended, within five minutes.", "none",
    [query("max by (service) (increase(postgres_deadlocks_total{<S>}[5m]))", "{{service}}")], thresholds=limits((1, BAD)))
BOARD.graph("Size", "Size of each database. Events are kept for ever so far.", "bytes",
    [query("max by (service) (postgres_database_bytes{<S>})", "{{service}}")], stack=True, to=[("events", "service")])
BOARD.graph("Disk", "What is left of the disk with the data.", "bytes",
    [query("min by (path_kind) (disk_free_bytes{<I>})", "{{path_kind}}")], to=[("red",)])
