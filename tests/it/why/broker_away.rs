//! An order whose event does not get out, because the broker is away.

use viscount_chassis::devkafka::testing::{own_broker, prefix, wanted};

use super::*;
use crate::broker::restarted;

#[test]
fn a_broker_that_is_away_is_named_where_its_events_wait() {
    if !wanted("why, without the broker") {
        return;
    }
    block_on(async {
        let mut broker = own_broker(&[]).await;
        let platform =
            platform([("KAFKA_BROKERS", broker.brokers()), ("KAFKA_TOPIC_PREFIX", prefix())]).await;
        let admin = platform.token("admin").await;
        let buyer = platform.token("customer").await;
        let product = platform.product(&admin, 1_000).await;
        broker.kill();
        let order = platform.ordered(&buyer, &product).await;
        let why = platform.because(&admin, &order, "created", "relay_stalled", "orders").await;
        assert_eq!(why["waits_for"]["what"], "stock_reservation");
        assert!(why["causes"][0]["evidence"]["lag_events"].as_i64().unwrap() >= 1, "{why:#}");
        let _broker = restarted(broker).await;
        assert_eq!(platform.until_final(&buyer, &order).await, "completed");
        platform.nothing_runs(&admin).await;
    });
}
