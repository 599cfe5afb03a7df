//! A projection made anew while events go on being committed: none is left out, none counted twice.

use std::cell::Cell;

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row};
use uuid::Uuid;
use viscount_actors::Supervisor;
use viscount_chassis::{
    log::EventLog,
    replay::{Key, Projection, Replay, ReplayError, Table, replay},
    store::{Batch, Committer, CommitterSpec, Entry, EventStore, Writer, bind_events, statement},
    testing::run,
};
use viscount_contracts::Topic;

use crate::bed::{Bed, event};

/// Counts the events of each key.
struct Tally {
    sql: String,
}

/// A key, and how many events more.
type More = (Uuid, i32);

impl Tally {
    fn new() -> Self {
        let counted = "insert into tally as t (key, events) select * from unnest($9::uuid[], $10::int[])
            on conflict (key) do update set events = t.events + excluded.events returning 1";
        Self { sql: statement(&[("counted", counted)]) }
    }
}

impl Writer for Tally {
    type Projection = More;

    async fn write(
        &self,
        connection: &mut PgConnection,
        batch: &Batch<'_, More>,
    ) -> Result<i64, sqlx::Error> {
        let (keys, counts): (Vec<Uuid>, Vec<i32>) = batch.projections().copied().unzip();
        let query = bind_events(sqlx::query(AssertSqlSafe(self.sql.as_str())), batch);
        query.bind(keys).bind(counts).fetch_one(connection).await?.try_get(0)
    }
}

fn tally() -> Projection<Tally> {
    const TABLES: [Table; 1] = [Table::new("tally", &["key"])];
    Projection {
        name: "tally",
        topic: Topic::Orders,
        tables: &TABLES,
        others: &[],
        writer: Tally::new(),
        steps: |_, fresh| {
            let count = i32::try_from(fresh.len()).unwrap();
            Ok(fresh.first().map(|event| (event.key, count)).into_iter().collect())
        },
    }
}

/// Somebody commits behind every step of the replay.
struct Busy {
    inner: Projection<Tally>,
    committer: Committer<More>,
    key: Uuid,
    version: Cell<i32>,
    commits: Cell<usize>,
}

impl Busy {
    /// So many events more, half of them of a key that is there, half of a new one.
    async fn commit(&self, count: i32) {
        let new = Uuid::now_v7();
        for (key, from) in [(self.key, self.version.get()), (new, 0)] {
            let events = (from + 1..=from + count).map(|version| event(key, version)).collect();
            let entry = Entry { events, inbox: None, projection: (key, count) };
            self.committer.commit(entry).await.unwrap();
        }
        self.version.set(self.version.get() + count);
    }
}

impl Replay for Busy {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn topic(&self) -> Topic {
        self.inner.topic()
    }

    fn tables(&self) -> &'static [Table] {
        self.inner.tables()
    }

    fn others(&self) -> &'static [&'static str] {
        self.inner.others()
    }

    fn write<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        keys: &'a [Key],
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), ReplayError>> + 'a>> {
        Box::pin(async move {
            self.inner.write(connection, keys).await?;
            // Much, which is made up for at once; then little, which is left for the end. Nobody can commit then.
            let commits = self.commits.replace(self.commits.get() + 1);
            if let Some(count) = [400, 300, 2].get(commits) {
                self.commit(*count).await;
            }
            Ok(())
        })
    }
}

async fn counts(pool: &PgPool) -> Vec<(Uuid, i64)> {
    sqlx::query_as("select key, events::bigint from tally order by key").fetch_all(pool).await.unwrap()
}

#[test]
fn what_is_committed_meanwhile_is_made_up_for() {
    run(async {
        let bed = Bed::start().await;
        let table = "create table tally (key uuid primary key, events integer not null)";
        sqlx::query(table).execute(&bed.pool).await.unwrap();
        let store = EventStore::new(Topic::Orders, bed.pool.clone());
        let busy = Busy {
            inner: tally(),
            committer: committer(&bed.tree, &bed.pool, &store, bed.log.as_ref()),
            key: Uuid::now_v7(),
            version: Cell::new(0),
            commits: Cell::new(0),
        };
        busy.commit(3).await;
        let spoilt = "update tally set events = 99 where key = $1";
        sqlx::query(spoilt).bind(busy.key).execute(&bed.pool).await.unwrap();

        let url = bed.pool.connect_options();
        let mut connection = PgConnection::connect_with(&url).await.unwrap();
        let mut told = Vec::new();
        let differences =
            replay(&busy, &store, &mut connection, true, &mut |progress| told.push(progress)).await.unwrap();
        connection.close().await.unwrap();
        assert_eq!(told.last().map(|progress| (progress.done, progress.total)), Some((6, 6)));
        let wrong = (differences[0].missing, differences[0].wrong, differences[0].surplus);
        assert_eq!(wrong, (0, 1, 0), "only what was spoilt");

        let asked = "select stream, count(*) from events group by stream order by stream";
        let events: Vec<(Uuid, i64)> = sqlx::query_as(asked).fetch_all(&bed.pool).await.unwrap();
        assert_eq!(counts(&bed.pool).await, events);
        assert!(busy.commits.get() > 3, "it was disturbed each time");
    });
}

fn committer(tree: &Supervisor, pool: &PgPool, store: &EventStore, log: &dyn EventLog) -> Committer<More> {
    let publisher = log.publisher(store.clone());
    Committer::start(tree, store.clone(), pool.clone(), publisher, Tally::new(), CommitterSpec::default())
}

/// A writer that names a table which nobody has put before the real one.
#[test]
fn a_table_that_nobody_thought_of_is_not_written() {
    run(async {
        let bed = Bed::start().await;
        for table in ["tally", "other"] {
            let sql = format!("create table {table} (key uuid primary key, events integer not null)");
            sqlx::query(AssertSqlSafe(sql)).execute(&bed.pool).await.unwrap();
        }
        let store = EventStore::new(Topic::Orders, bed.pool.clone());
        let committer = committer(&bed.tree, &bed.pool, &store, bed.log.as_ref());
        let key = Uuid::now_v7();
        let entry = Entry { events: vec![event(key, 1)], inbox: None, projection: (key, 1) };
        committer.commit(entry).await.unwrap();
        const OTHER: [Table; 1] = [Table::new("other", &["key"])];
        let forgetful = Projection { tables: &OTHER, ..tally() };
        let options = bed.pool.connect_options();
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        let outcome = replay(&forgetful, &store, &mut connection, true, &mut |_| {}).await;
        assert!(matches!(outcome, Err(ReplayError::Database(_))), "{outcome:?}");
        assert_eq!(counts(&bed.pool).await, [(key, 1)], "written once, when it was committed");
    });
}
