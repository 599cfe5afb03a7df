//! What every engine promises.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use uuid::Uuid;
use viscount_chassis::{devkafka::testing::wanted, log::EventLog, testing::run};

use super::hall::Hall;
use crate::{
    bed::{Bed, event},
    conformance::{Engine, suite},
};

struct Kafka {
    hall: Hall,
    bed: Bed,
}

impl Engine for Kafka {
    fn log(&self) -> Arc<dyn EventLog> {
        self.bed.log.clone()
    }

    fn pool(&self) -> PgPool {
        self.bed.pool.clone()
    }

    async fn publish(&self, events: &[(Uuid, i32)]) {
        let events = events.iter().map(|(key, version)| event(*key, *version)).collect();
        self.bed.commit(events).await.unwrap();
    }

    async fn restarted(&self) -> Arc<dyn EventLog> {
        self.bed.log.close(Duration::from_secs(10)).await;
        self.hall.log()
    }
}

#[test]
fn the_kafka_engine_keeps_what_every_engine_promises() {
    if !wanted("the conformance suite on kafka") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        let bed = hall.bed().await;
        suite(&Kafka { hall, bed }).await;
    });
}
