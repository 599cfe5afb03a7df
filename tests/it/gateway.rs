//! The gateway in a process of its own.

use std::process::{Child, Stdio};

use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::platform::{block_on, eventually, viscount};

struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_gateway_alone_needs_no_database_and_starts_none() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let mut command = viscount(home.path());
        command.args(["serve", "gateway"]).env("VISCOUNT_COORDINATION_URL", "none");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _gateway = Gateway(command.spawn().unwrap());
        let http = Client::new();
        let alive = eventually("the gateway to live", || async {
            let endpoints = std::fs::read(home.path().join("endpoints.json")).ok()?;
            let endpoints: Value = serde_json::from_slice(&endpoints).ok()?;
            let url = format!("{}/livez", endpoints["gateway"].as_str()?);
            Some(http.get(url).send().await.ok()?.status())
        });
        assert_eq!(alive.await, StatusCode::OK);
        assert!(!home.path().join("postgres").exists(), "a database server was started");
    });
}
