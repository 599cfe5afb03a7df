//! Idempotency keys, in their table.

use uuid::Uuid;
use viscount_chassis::{
    idempotency::Idempotency,
    testing::{eventually, run},
};

use crate::bed::Bed;

/// More than one statement takes.
#[test]
fn answers_of_yesterday_are_forgotten_and_those_of_today_kept() {
    run(async {
        let bed = Bed::start().await;
        sqlx::query(
            "insert into idempotency_keys (principal, key, fingerprint, status, body, created_at)
             select $1, n::text, '', 201, '', now() - make_interval(hours => case when n = 7 then 23 else 25 end)
             from generate_series(1, 12345) n",
        )
        .bind(Uuid::now_v7())
        .execute(&bed.pool)
        .await
        .unwrap();
        let janitor = tokio::spawn(Idempotency::new(bed.pool.clone()).forget_old());
        eventually(|| async {
            let keys: Vec<String> =
                sqlx::query_scalar("select key from idempotency_keys").fetch_all(&bed.pool).await.unwrap();
            (keys == ["7"]).then_some(())
        })
        .await;
        janitor.abort();
    });
}
