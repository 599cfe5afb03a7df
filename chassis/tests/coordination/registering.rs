//! Being listed, whatever happens to the list.

use std::time::{Duration, Instant};

use viscount_actors::{Intensity, Supervisor};
use viscount_chassis::coordination::{ClientSecret, Coordination, Member, TokenConfig};
use viscount_chassis::http::Health;
use viscount_chassis::testing::eventually;

use super::registry::Registry;

const ORDERS: Member = Member {
    service: "orders",
    addr: std::net::SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 8084)),
    version: "1.2.3",
};

fn supervisor() -> Supervisor {
    Supervisor::root("testing", Intensity::default(), |exit| panic!("{exit}"))
}

#[actix_web::test]
async fn an_instance_is_listed_stays_listed_and_leaves() {
    let registry = Registry::start();
    let (tree, health) = (supervisor(), Health::new());
    health.set_ready(true);
    let membership = registry.coordination().join(&tree, ORDERS, Some(&health));
    let registration = registry.until(|heard| heard.registrations.first().cloned()).await;
    assert_eq!(registration["service"], "orders");
    assert_eq!(registration["address"], "127.0.0.1:8084");
    assert_eq!(registration["version"], "1.2.3");
    assert_eq!(registration["lease_seconds"], 1);
    assert_eq!(registration["metadata"]["pid"], std::process::id().to_string());
    assert!(registration["metadata"]["started_at"].is_string());
    registry.until(|heard| (heard.heartbeats >= 3).then_some(())).await;
    assert_eq!(registry.heard.lock().registrations.len(), 1, "a heartbeat is no registration");
    assert_eq!(health.report().await.checks.last().unwrap().status, "ok");

    membership.leave().await;
    assert!(registry.heard.lock().listed.is_empty(), "off the list before leave returns");
    assert!(tree.stop(Duration::from_secs(1)).await.is_ok());
}

#[actix_web::test]
async fn who_was_forgotten_registers_anew_under_the_same_name() {
    let registry = Registry::start();
    let tree = supervisor();
    let _membership = registry.coordination().join(&tree, ORDERS, None);
    registry.until(|heard| (heard.heartbeats >= 1).then_some(())).await;
    registry.heard.lock().listed.clear();
    registry.until(|heard| (heard.registrations.len() == 2 && heard.listed.len() == 1).then_some(())).await;
    let ids: Vec<_> =
        registry.heard.lock().registrations.iter().map(|one| one["instance_id"].clone()).collect();
    assert_eq!(ids[0], ids[1]);
}

#[actix_web::test]
async fn without_coordination_everything_goes_on_and_its_return_is_noticed() {
    let mut registry = Registry::start();
    registry.go_away().await;
    let (tree, health) = (supervisor(), Health::new());
    health.set_ready(true);
    let membership = registry.coordination().join(&tree, ORDERS, Some(&health));
    let report = eventually(|| async {
        let report = health.report().await;
        (report.checks.last()?.detail.as_deref() != Some("not registered yet")).then_some(report)
    })
    .await;
    assert!(report.is_ready(), "it is told, and that is all: {report:?}");
    assert_eq!(report.checks.last().unwrap().status, "failed");
    registry.come_back();
    registry.until(|heard| (heard.listed.len() == 1).then_some(())).await;

    // Nobody to say good-bye to: a stop does not wait for long.
    registry.go_away().await;
    let asked = Instant::now();
    membership.leave().await;
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[actix_web::test]
async fn identity_vouches_once_for_many_calls_and_again_after_a_refusal() {
    let registry = Registry::start();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("internal-client.secret");
    let mut config = registry.config();
    config.token = TokenConfig::Client {
        url: format!("http://{}/oauth2/token", registry.addr),
        id: "viscount-internal".to_owned(),
        secret: ClientSecret::File(file.clone()),
    };
    let tree = supervisor();
    let _membership = Coordination::new(config).unwrap().join(&tree, ORDERS, None);
    // Identity's first start writes the file when it likes.
    std::fs::write(&file, "a secret\n").unwrap();
    registry.until(|heard| (heard.heartbeats >= 2).then_some(())).await;
    assert_eq!(registry.heard.lock().tokens, 1);
}
