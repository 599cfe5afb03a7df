//! From the start to the end: orders are placed, processes killed, stopped in their tracks and started again.

use std::{net::TcpListener, os::unix::process::ExitStatusExt as _, time::Duration};

use chaos::{
    platform::{Part, Plan, Platform},
    proxy::Weather,
};
use sqlx::{Connection as _, PgConnection};

use crate::bed::{Folder, Shop, assert_tidy, block_on, brokers_are_wanted, embedded, processes_in, viscount};

const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn an_order_is_placed_before_and_after_processes_are_killed_and_nothing_is_left() {
    if !brokers_are_wanted("the rig on separate processes") {
        return;
    }
    block_on(async {
        let folder = Folder::new();
        let platform = Platform::start(Plan::new(viscount()), folder.path()).await.unwrap();
        let shop = Shop::open(&platform).await;
        shop.order().await;

        let orders = Part::new("orders-1");
        let first = platform.pid(&orders).unwrap();
        platform.kill(&orders).await.unwrap();
        assert!(!platform.is_running(&orders) && platform.exit(&orders).is_some());
        // The other replica is there.
        shop.order().await;
        platform.start_part(&orders).await.unwrap();
        platform.until_ready(&orders, WITHIN).await.unwrap();
        assert_ne!(platform.pid(&orders), Some(first));
        shop.order().await;

        // Both servers, each on the data that it had.
        for server in ["postgres", "broker-1"] {
            let server = Part::new(server);
            let first = platform.pid(&server).unwrap();
            platform.restart(&server).await.unwrap();
            assert_ne!(platform.pid(&server), Some(first));
            shop.order().await;
        }

        // Every way between parts goes through its proxy.
        for link in ["postgres", "broker-1", "simulator-1", "orders-1", "orders-2", "payments-1", "gateway-1"]
        {
            let passed = platform.proxy(link).unwrap().figures();
            assert!(passed.bytes_up > 0 && passed.bytes_down > 0, "{link}: {passed:?}");
        }
        let audit = platform.run(&["audit", "--within", "60"]).await.unwrap();
        assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));

        let brokers = platform.brokers().unwrap();
        let doors = [platform.door(), platform.doors("orders").remove(0), brokers];
        platform.stop().await.unwrap();
        assert_eq!(processes_in(folder.path()), Vec::<String>::new());
        for door in doors {
            let place = door.trim_start_matches("http://");
            // Not by connecting to it: on the loopback device a port may connect to itself.
            assert!(TcpListener::bind(place).is_ok(), "somebody still listens at {door}");
        }
        assert_tidy(folder.path());
    });
}

#[test]
fn in_one_process_a_part_is_halted_cut_off_and_started_with_other_variables() {
    block_on(async {
        let folder = Folder::new();
        let platform = Platform::start(embedded(), folder.path()).await.unwrap();
        let shop = Shop::open(&platform).await;
        shop.order().await;
        let part = platform.resolve("orders").unwrap().remove(0);
        assert_eq!(part.name(), "platform-1");

        // Halted, it is there and does not answer.
        platform.pause(&part).unwrap();
        let readyz = format!("{}/readyz", platform.doors("orders").remove(0));
        let http = reqwest::Client::builder().timeout(Duration::from_millis(500)).no_proxy().build().unwrap();
        assert!(http.get(&readyz).send().await.unwrap_err().is_timeout());
        assert!(platform.is_running(&part));
        platform.resume(&part).unwrap();
        shop.order().await;

        // PostgreSQL with all its processes.
        let postgres = Part::new("postgres");
        platform.pause(&postgres).unwrap();
        let url = platform.database_url("order_db");
        let connecting = tokio::time::timeout(Duration::from_millis(500), PgConnection::connect(&url));
        assert!(connecting.await.is_err(), "nobody answers");
        platform.resume(&postgres).unwrap();
        platform.proxy("postgres").unwrap().set(Weather::Refuse);
        platform.proxy("postgres").unwrap().set(Weather::Clear);
        shop.order().await;

        // Armed, it dies by itself.
        platform.terminate(&part).await.unwrap();
        let armed = Some("http.before-answer=return".to_owned());
        platform.set_variable(&part, "FAILPOINTS", armed).unwrap();
        platform.start_part(&part).await.unwrap();
        platform.until_ready(&part, WITHIN).await.unwrap();
        let dying = async {
            let status = platform.until_ended(&part, WITHIN).await.unwrap();
            platform.set_variable(&part, "FAILPOINTS", None).unwrap();
            platform.start_part(&part).await.unwrap();
            status
        };
        // The order that kills it is asked for again, and taken by the next one.
        let ((), status) = tokio::join!(shop.order(), dying);
        assert_eq!(status.signal(), Some(9));

        platform.stop().await.unwrap();
        assert_eq!(processes_in(folder.path()), Vec::<String>::new());
    });
}
