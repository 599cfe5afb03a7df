//! Locks: one holder at a time, by tokens that only grow.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::json;
use sqlx::{PgPool, Row};
use viscount_chassis::testing::{eventually, run};

use crate::app::TestApp;

#[test]
fn a_lock_is_taken_kept_and_given_back() {
    run(async {
        let app = TestApp::start().await;
        app.get("/v1/locks/nightly").await.is(404);
        app.unlock("nightly", 1).await.is(404);
        app.keep("nightly", 1, 5).await.is(404);

        let first = app.lock("nightly", "a", 60, 0).await.is(201);
        assert_eq!((first.token(), &first.json["owner"]), (1, &json!("a")));
        let refused = app.lock("nightly", "b", 60, 0).await.refused_as(409, "lock-held");
        assert!(refused.retry_after.is_some() && refused.json["expires_at"].is_string());
        assert!(
            app.keep("nightly", 1, 300).await.is(200).json["expires_at"].as_str()
                > first.json["expires_at"].as_str()
        );

        // Who asks again has lost the answer to its first question; what the first token would still do is fenced off.
        let again = app.lock("nightly", "a", 60, 0).await.is(201);
        assert_eq!(again.token(), 2);
        app.keep("nightly", 1, 60).await.refused_as(409, "lock-lost");
        app.unlock("nightly", 1).await.refused_as(409, "lock-lost");

        app.unlock("nightly", 2).await.is(204);
        app.unlock("nightly", 2).await.is(204);
        let free = app.get("/v1/locks/nightly").await.is(200);
        assert_eq!((&free.json["held"], &free.json["owner"]), (&json!(false), &json!(null)));
        app.keep("nightly", 2, 60).await.refused_as(409, "lock-lost");
        assert_eq!(app.lock("nightly", "b", 60, 0).await.is(201).token(), 3);
    });
}

#[test]
fn who_waits_gets_it_when_it_is_given_back_or_expires() {
    run(async {
        let app = TestApp::start().await;
        let other = app.replica().await;
        let held = app.lock("nightly", "a", 300, 0).await.is(201).token();
        let (got, freed) = tokio::join!(other.lock("nightly", "b", 1, 30), app.unlock("nightly", held));
        freed.is(204);
        assert_eq!(got.is(201).token(), held + 1);
        // Nobody gives it back; it expires after a second.
        assert_eq!(app.lock("nightly", "c", 300, 30).await.is(201).token(), held + 2);
        app.lock("nightly", "d", 1, 1).await.refused_as(409, "lock-held");
        other.keep("nightly", held + 1, 60).await.refused_as(409, "lock-lost");
    });
}

/// What a lock protects, with its own memory of tokens: it takes nothing from who was replaced.
struct Guarded {
    pool: PgPool,
}

impl Guarded {
    async fn new(pool: PgPool) -> Self {
        let tables = "create table guarded (value bigint not null, token bigint not null);
            insert into guarded values (0, 0);
            create table writes (n bigint generated always as identity, token bigint not null, owner text not null)";
        sqlx::raw_sql(tables).execute(&pool).await.unwrap();
        Self { pool }
    }

    /// One more, by whoever holds this token: false when a newer one was here before.
    async fn add(&self, token: i64, owner: &str) -> bool {
        let add =
            "with added as (update guarded set value = value + 1, token = $1 where token <= $1 returning 1)
            insert into writes (token, owner) select $1, $2 from added";
        let done = sqlx::query(add).bind(token).bind(owner).execute(&self.pool).await.unwrap();
        done.rows_affected() == 1
    }
}

#[test]
fn an_expired_holders_late_write_is_refused_by_what_it_writes_to() {
    run(async {
        let app = TestApp::start().await;
        let guarded = Guarded::new(app.pool().clone()).await;
        let late = app.lock("nightly", "late", 1, 0).await.is(201).token();
        assert!(guarded.add(late, "late").await);
        // It sleeps for longer than it may, and somebody else goes on.
        let next = app.lock("nightly", "next", 60, 30).await.is(201).token();
        assert!(next > late);
        assert!(guarded.add(next, "next").await);
        assert!(!guarded.add(late, "late").await);
    });
}

/// Clients at two replicas fight for one lock; every fourth time a holder falls asleep and lets it expire.
#[test]
fn of_many_one_holds_it_and_tokens_only_grow() {
    const CLIENTS: usize = 12;
    const TURNS: usize = 6;
    run(async {
        let replicas = {
            let app = TestApp::start().await;
            let other = app.replica().await;
            [Arc::new(app), Arc::new(other)]
        };
        let guarded = Arc::new(Guarded::new(replicas[0].pool().clone()).await);
        let tables = "create table held (token bigint primary key, owner text, from_ timestamptz, until_ timestamptz);
            create function watch() returns trigger language plpgsql as $$ begin
                if new.token <> old.token then
                    insert into held values (new.token, new.owner, clock_timestamp(), 'infinity');
                    update held set until_ = least(old.expires_at, clock_timestamp()) where token = old.token and until_ = 'infinity';
                elsif new.owner is null and old.owner is not null then
                    update held set until_ = least(old.expires_at, clock_timestamp()) where token = new.token;
                end if;
                return null;
            end $$;
            create trigger watch after update on locks for each row execute function watch()";
        sqlx::raw_sql(tables).execute(replicas[0].pool()).await.unwrap();
        // So that each later holding is an update, which is watched.
        let first = replicas[0].lock("hot", "first", 60, 0).await.is(201).token();
        replicas[0].unlock("hot", first).await.is(204);

        let clients = (0..CLIENTS).map(|client| {
            let (app, guarded) = (replicas[client % 2].clone(), guarded.clone());
            async move {
                let owner = format!("client-{client}");
                let (mut last, mut refused) = (0, 0);
                for turn in 0..TURNS {
                    let taken = eventually(|| async {
                        let answer = app.lock("hot", &owner, 1, 20).await;
                        (answer.status == 201).then_some(answer)
                    })
                    .await;
                    let token = taken.token();
                    assert!(token > last, "{token} after {last}");
                    last = token;
                    assert!(guarded.add(token, &owner).await || expired(&app, token).await);
                    if (client + turn) % 4 == 0 {
                        // Asleep until another has been there.
                        eventually(|| async {
                            let now = app.get("/v1/locks/hot").await;
                            (now.token() > token || now.json["held"] == false).then_some(())
                        })
                        .await;
                        app.keep("hot", token, 60).await.is(409);
                        let newest: i64 = sqlx::query_scalar("select token from guarded")
                            .fetch_one(app.pool())
                            .await
                            .unwrap();
                        let late = guarded.add(token, &owner).await;
                        assert!(!late || newest <= token);
                        refused += usize::from(!late);
                    } else {
                        let _ = app.unlock("hot", token).await;
                    }
                }
                refused
            }
        });
        let refused: usize = join_all(clients).await.into_iter().sum();
        assert!(refused > 0, "nobody came too late: nothing was shown");

        let pool = replicas[0].pool();
        let overlaps = "select count(*) from held a join held b on a.token < b.token
            and tstzrange(a.from_, a.until_) && tstzrange(b.from_, b.until_)";
        let overlaps: i64 = sqlx::query_scalar(overlaps).fetch_one(pool).await.unwrap();
        assert_eq!(overlaps, 0);
        let held = sqlx::query("select count(*), count(distinct token), max(token) from held")
            .fetch_one(pool)
            .await
            .unwrap();
        let (turns, tokens, newest): (i64, i64, i64) = (held.get(0), held.get(1), held.get(2));
        assert_eq!((turns, tokens, newest), (CLIENTS as i64 * TURNS as i64, turns, turns + first));
        // What was written was written in the order of the tokens.
        let disorder = "select count(*) from writes a join writes b on a.n < b.n and a.token > b.token";
        let disorder: i64 = sqlx::query_scalar(disorder).fetch_one(pool).await.unwrap();
        assert_eq!(disorder, 0);
    });
}

/// True when this token holds the lock no more: a slow machine, and not a second holder.
async fn expired(app: &TestApp, token: i64) -> bool {
    let now = app.get("/v1/locks/hot").await;
    now.token() > token || now.json["held"] == false
}

#[test]
fn waiting_ends_when_the_replica_leaves() {
    run(async {
        let app = Arc::new(TestApp::start().await);
        app.lock("nightly", "a", 300, 0).await.is(201);
        let waiting = {
            let app = app.clone();
            async move { app.lock("nightly", "b", 300, 30).await }
        };
        let leaving = async {
            eventually(|| async {
                let metrics = app.plain("GET", "/metrics").send().await.unwrap().text().await.unwrap();
                metrics
                    .lines()
                    .any(|line| line.starts_with("coordination_waiting_requests") && !line.ends_with(" 0"))
                    .then_some(())
            })
            .await;
            app.running.http.close_streams();
        };
        let answered =
            tokio::time::timeout(Duration::from_secs(15), async { tokio::join!(waiting, leaving).0 }).await;
        answered.expect("an answer before the time is up").refused_as(409, "lock-held");
    });
}
