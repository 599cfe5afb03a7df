//! Who audits the auditor: a good story in real databases, in which it finds nothing, and then one thing wrong at a
//! time, which it has to find, under the right promise and no other, and by name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod effects;
mod log;
mod many;
mod money;
mod orders;
mod projections;
mod stock;
mod streams;
mod suspicions;
mod tale;
mod writing;

use std::{
    collections::HashMap,
    sync::LazyLock,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::OnceCell,
};
use uuid::Uuid;
use viscount_chassis::{
    devpg::testing::{TestDatabase, test_database},
    store::{Database, DatabaseConfig, DatabaseError},
};
use viscount_contracts::Topic;

use self::tale::*;
use super::{
    Patience, Terms, check,
    report::{Promise, Report, Suspects},
    world::World,
};
use crate::stack::Part;

/// Those with a database.
const PARTS: [Part; 7] = [
    Part::Identity,
    Part::Catalog,
    Part::Inventory,
    Part::Orders,
    Part::Payments,
    Part::Coordination,
    Part::Simulator,
];

/// Those that an order is written down in, and the catalogue, which hears of stock.
const TELLING: [Part; 5] = [Part::Catalog, Part::Inventory, Part::Orders, Part::Payments, Part::Simulator];

const HOUR: u64 = 3_600;

fn terms() -> Terms {
    let patience = Patience { looks: 1, pause: Duration::from_millis(1) };
    Terms { within: 60, running: true, patience }
}

static GOOD: LazyLock<Tale> = LazyLock::new(Tale::good);

async fn migrated(part: Part) -> TestDatabase {
    test_database(part.name(), |url| async move {
        let database = Database::lazy(&DatabaseConfig::new(url))?;
        database.migrate(part.migrations().unwrap()).await?;
        database.close().await;
        Ok::<_, DatabaseError>(())
    })
    .await
}

async fn told(tale: &Tale, part: Part) -> TestDatabase {
    let database = migrated(part).await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&database.admin_url).await.unwrap();
    tale.write(part, &pool).await;
    pool.close().await;
    database
}

/// The good story's databases, shared by all tests, each of which replaces those that it breaks.
async fn good() -> &'static HashMap<Part, TestDatabase> {
    static GOOD_ONES: OnceCell<HashMap<Part, TestDatabase>> = OnceCell::const_new();
    GOOD_ONES
        .get_or_init(async || {
            let mut databases = HashMap::new();
            for part in PARTS {
                databases.insert(part, told(&GOOD, part).await);
            }
            databases
        })
        .await
}

/// A world with something wrong in it.
struct Broken {
    databases: HashMap<Part, TestDatabase>,
}

impl Broken {
    /// The good story, of which these parts may be broken.
    async fn in_parts(parts: &[Part]) -> Self {
        Self::by(&GOOD, parts).await
    }

    /// Another story, as far as these parts know it.
    async fn by(tale: &Tale, parts: &[Part]) -> Self {
        let mut databases = good().await.clone();
        for part in parts {
            databases.insert(*part, told(tale, *part).await);
        }
        Self { databases }
    }

    /// Another story, throughout.
    async fn story(change: impl FnOnce(&mut Tale)) -> Self {
        let mut tale = GOOD.clone();
        change(&mut tale);
        Self::by(&tale, &TELLING).await
    }

    /// Breaks a database behind everybody's back: as the superuser, without triggers and foreign keys.
    async fn run(&self, part: Part, sql: impl Into<String>) {
        let mut connection = PgConnection::connect(&self.databases[&part].admin_url).await.unwrap();
        let sql = format!("set session_replication_role = replica; {}", sql.into());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn world(&self) -> World {
        World::connect(|part| self.databases[&part].url.clone()).await.unwrap()
    }

    async fn report(&self, terms: &Terms) -> Report {
        check(&self.world().await, terms).await.unwrap()
    }

    /// The auditor says that this promise is broken and no other, and names what is wrong.
    async fn breaks(&self, promise: Promise, names: impl ToString, because: &str) {
        is_broken(&self.report(&terms()).await, promise, names, because);
    }
}

fn is_broken(report: &Report, promise: Promise, names: impl ToString, because: &str) {
    let found = report.violations();
    assert!(found.iter().all(|found| found.promise == promise), "only {promise:?} is broken: {report}");
    let names = names.to_string();
    let named = |text: &str| text.contains(&names) && text.contains(because);
    assert!(found.iter().any(|found| named(&found.to_string())), "{names} {because} is not named: {report}");
}

fn is_clean(report: &Report) {
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn nothing_is_wrong_where_nothing_is_wrong() {
    let world = Broken::in_parts(&[]).await;
    let report = world.report(&terms()).await;
    is_clean(&report);
    let text = report.to_string();
    for looked_at in [
        "7 orders, 60 s",
        "3 paid orders",
        "4 charges at the provider",
        "7 reservations",
        "2 products",
        "no violations",
    ] {
        assert!(text.contains(looked_at), "{looked_at}: {text}");
    }
}

#[tokio::test]
async fn nothing_is_wrong_in_an_empty_world() {
    let mut databases = HashMap::new();
    for part in PARTS {
        databases.insert(part, migrated(part).await);
    }
    is_clean(&Broken { databases }.report(&terms()).await);
}
