//! However many orders there are, there are not more series.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::{StreamExt, future::join_all, stream};
use reqwest::{StatusCode, header::ACCEPT};
use tokio::time::Instant;

use super::{
    live::{SERVICES, order, scrape},
    warm::everything_once,
};
use crate::platform::{Platform, block_on, eventually};

const OPENMETRICS: &str =
    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Ten thousand orders, while twenty clients scrape as fast as they can. Every outcome and every route comes before: what
/// is seldom has its series from the start.
#[test]
fn series_do_not_grow_with_orders_and_scraping_is_bounded() {
    const ORDERS: usize = 10_000;
    block_on(async {
        let unlimited = || "1000000/1".to_owned();
        let settings = [
            ("GATEWAY_LIMIT_ADDRESS", unlimited()),
            ("GATEWAY_LIMIT_READ", unlimited()),
            ("GATEWAY_LIMIT_WRITE", unlimited()),
            // The one that is reached.
            ("GATEWAY_LIMIT_AUTH", "5/60".to_owned()),
            // Heartbeats come when they come.
            ("VISCOUNT_COORDINATION_URL", "none".to_owned()),
        ];
        let platform = Platform::start_with(settings).await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 900_000).await;
        let buyer = platform.token("customer").await;
        let many = |count: usize| {
            let (platform, buyer, product) = (&platform, &buyer, &product);
            stream::iter(0..count).for_each_concurrent(64, move |at| async move {
                // One in fifty is declined, another one sees its story and is looked for in vain, and of three more the
                // provider's answer comes late, twice not, or never.
                let card = match at % 50 {
                    7 => "tok_chargeDeclined",
                    21 => "tok_flaky",
                    _ => "tok_visa",
                };
                let id = order(platform, buyer, product, card).await;
                if at % 50 == 11 {
                    platform.get(&format!("/v1/orders/{id}/events"), buyer).await;
                    platform.get(&format!("/v1/orders/{id}"), buyer).await;
                    platform.get(&format!("/nowhere/{id}"), buyer).await;
                }
            })
        };
        let finals = async || scrape(&platform).await.sum("order_final_seconds_count");
        let all_final = async |wanted: f64| {
            eventually("the end of all orders", || async { (finals().await >= wanted).then_some(()) }).await;
        };
        everything_once(&platform, &admin, &buyer, &product).await;
        let first = finals().await;
        many(100).await;
        all_final(first + 100.0).await;
        // What comes once in a while comes before the count.
        eventually("the figures of the databases", || async {
            let shown = scrape(&platform).await;
            let is_told = |service: &str| shown.value("relay_lag_seconds", &[("service", service)]).is_some();
            SERVICES.into_iter().all(is_told).then_some(())
        })
        .await;
        let before = scrape(&platform).await;

        let (over, scraped) = (AtomicBool::new(false), AtomicUsize::new(0));
        let scrapers = join_all((0..20).map(|_| async {
            while !over.load(Ordering::Relaxed) {
                let asked =
                    platform.http.get(format!("{}/metrics", platform.url)).header(ACCEPT, OPENMETRICS);
                let answer = asked.send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
                assert!(answer.text().await.unwrap().ends_with("# EOF\n"));
                scraped.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let began = Instant::now();
        let ordering = async {
            many(ORDERS - 100).await;
            over.store(true, Ordering::Relaxed);
        };
        tokio::join!(scrapers, ordering);
        let took = began.elapsed();
        all_final(first + ORDERS as f64).await;

        let after = scrape(&platform).await;
        let new: Vec<_> = after.series().difference(&before.series()).cloned().collect();
        assert!(new.is_empty(), "{} new series: {new:#?}", new.len());
        let grown = |name| after.sum(name) - before.sum(name);
        let (spent, times) = (grown("metrics_render_seconds_sum"), grown("metrics_render_seconds_count"));
        let scraped = scraped.into_inner();
        println!(
            "{ORDERS} orders in {took:?}; {} series; {scraped} scrapes, {spent} s for them",
            after.series().len()
        );
        assert!(scraped >= 20, "the scrapers were not heard");
        // It rests for twenty times as long as one takes, and for three seconds at the most: a debug build on a busy machine
        // may need more than a twentieth of them.
        let one = spent / times;
        let share = one / (one + (20.0 * one).min(3.0));
        assert!(
            spent < took.as_secs_f64() * share * 1.5 + 0.5,
            "{spent} s of {took:?} were spent on {scraped} scrapes"
        );
        let is_id =
            |value: &String| value.len() >= 32 && value.chars().filter(char::is_ascii_hexdigit).count() >= 32;
        let id = after.samples.iter().find(|(_, labels, _)| labels.values().any(is_id));
        assert!(id.is_none(), "an id in a label: {id:?}");
        platform.audit().await;
    });
}
