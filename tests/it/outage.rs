//! PostgreSQL goes away while everything runs.

use std::process::Command;

use reqwest::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use crate::platform::{Platform, basket, block_on, eventually};

#[test]
fn without_its_database_the_platform_refuses_politely_and_goes_on_when_it_is_back() {
    block_on(async {
        let mut platform = Platform::start().await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 1_000).await;
        let buyer = platform.token("customer").await;
        let order = |key: String| {
            let (platform, buyer, body) = (&platform, &buyer, basket(&product, 1));
            async move { platform.post("/v1/orders", buyer, &key, &body).await.unwrap() }
        };
        let accepted: Value = order("before".into()).await.json().await.unwrap();
        stop_postgres(&platform, "STOP");
        let refused = order("during".into()).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key("Retry-After"));
        let livez = platform.http.get(format!("{}/livez", platform.service("orders"))).send().await.unwrap();
        assert_eq!(livez.status(), StatusCode::OK);
        stop_postgres(&platform, "CONT");
        let again = eventually("the order to be taken", || async {
            let answer = order("during".into()).await;
            (answer.status() == StatusCode::CREATED).then_some(answer)
        })
        .await;
        let taken: Value = again.json().await.unwrap();
        for placed in [&accepted, &taken] {
            assert_eq!(platform.until_final(&buyer, placed["id"].as_str().unwrap()).await, "completed");
        }
        // Killed, it is started again by its keeper; orders go on.
        stop_postgres(&platform, "KILL");
        let key = Uuid::now_v7().to_string();
        let placed: Value = eventually("an order after the restart", || async {
            let answer = order(key.clone()).await;
            (answer.status() == StatusCode::CREATED).then_some(answer)
        })
        .await
        .json()
        .await
        .unwrap();
        assert_eq!(platform.until_final(&buyer, placed["id"].as_str().unwrap()).await, "completed");
        assert!(!platform.has_died());
        platform.audit().await;
    });
}

/// Signals every process of the platform's own server.
fn stop_postgres(platform: &Platform, signal: &str) {
    let pid_file = platform.home().join("postgres/pgdata/postmaster.pid");
    let text = std::fs::read_to_string(pid_file).unwrap();
    let postmaster = text.lines().next().unwrap().to_owned();
    let children = Command::new("ps").args(["-o", "pid=", "--ppid", &postmaster]).output().unwrap();
    let children = String::from_utf8(children.stdout).unwrap();
    let all = children.split_whitespace().chain([postmaster.as_str()]);
    // A child may have gone meanwhile; the postmaster is what counts.
    Command::new("kill").arg(format!("-{signal}")).args(all).status().unwrap();
}
