//! Looking at topics, and projections made anew: on a platform that goes on meanwhile.

use std::process::Stdio;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use uuid::Uuid;

use crate::platform::{Platform, basket, block_on, eventually, viscount};

/// Each projection with its service, its database and its tables.
const PROJECTIONS: [(&str, &str, &str, &[&str]); 4] = [
    ("orders", "orders", "order_db", &["orders"]),
    ("orders", "price-book", "order_db", &["price_book"]),
    ("payments", "payments", "payment_db", &["payments", "refunds", "ledger", "open_calls"]),
    ("catalog", "products", "product_catalog_db", &["products", "categories"]),
];

impl Platform {
    /// A connection to a service's own database.
    pub async fn database(&self, service: &str, database: &str) -> PgConnection {
        let read = |file: &str| -> Value {
            serde_json::from_slice(&std::fs::read(self.home().join(file)).unwrap()).unwrap()
        };
        let (secrets, endpoints) = (read("secrets.json"), read("endpoints.json"));
        let password = secrets[format!("viscount_{service}")].as_str().unwrap();
        let address = endpoints["database"].as_str().unwrap();
        let url = format!("postgres://viscount_{service}:{password}@{address}/{database}");
        PgConnection::connect(&url).await.unwrap()
    }

    /// Every row of every table that is projected, as text.
    async fn projected(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut all = Vec::new();
        for (service, _, database, tables) in PROJECTIONS {
            let mut connection = self.database(service, database).await;
            for table in tables {
                // Since when an order waits is no event's news: a row that is made anew waits from then on.
                let sql = format!("select (to_jsonb(t) - 'waits_since')::text from {table} t order by 1");
                let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
                all.push((*table, rows));
            }
            connection.close().await.unwrap();
        }
        all
    }

    /// What `events` says, and its exit code.
    async fn events(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(&[&["events"], arguments].concat()).await;
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
        (output.status.code().unwrap(), said)
    }

    async fn replay(&self, service: &str, projection: &str) -> String {
        let (code, said) = self.events(&["replay", "--service", service, "--projection", projection]).await;
        assert_eq!(code, 0, "{said}");
        said
    }

    async fn buy(&self, buyer: &str, product: &str, pieces: u32, token: &str) -> String {
        let mut order = basket(product, pieces);
        order["payment"]["token"] = token.into();
        let response = self.post("/v1/orders", buyer, &Uuid::now_v7().to_string(), &order).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        response.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// An order in each state that an order comes to, and one that waits; the last is not final.
    async fn tale(&self, buyer: &str, product: &str) -> Vec<String> {
        let mut orders = Vec::new();
        for (pieces, token) in [
            (1, "tok_visa"),
            (2, "tok_chargeDeclined"),
            (900_000, "tok_visa"),
            (3, "tok_visa"),
            (1, "tok_visa"),
        ] {
            let order = self.buy(buyer, product, pieces, token).await;
            self.until_final(buyer, &order).await;
            orders.push(order);
        }
        for (order, amount) in [(&orders[3], 500), (&orders[4], 1_250)] {
            let path = format!("/v1/orders/{order}/refund");
            let body = json!({"amount": {"amount": amount, "currency": "GBP"}, "reason": "scratched"});
            let asked = self.post(&path, buyer, &Uuid::now_v7().to_string(), &body).await.unwrap();
            assert!(asked.status().is_success());
            eventually("the refund", || async {
                let order = self.get(&format!("/v1/orders/{order}"), buyer).await;
                order["status"].as_str().unwrap().contains("refunded").then_some(())
            })
            .await;
        }
        let slow = self.buy(buyer, product, 1, "tok_slow").await;
        let path = format!("/v1/orders/{slow}/cancel");
        let called_off = self.post(&path, buyer, &slow, &json!({"reason": "no"})).await.unwrap();
        assert!(called_off.status().is_success());
        // The provider takes its time: what came of the charge is known later than that the order is off.
        let known = format!(
            "select status from payments where order_id = '{slow}' and status not in ('expected', 'pending')"
        );
        eventually("the end of the cancelled order's payment", || async {
            let mut connection = self.database("payments", "payment_db").await;
            sqlx::query(AssertSqlSafe(known.as_str())).fetch_optional(&mut connection).await.unwrap()
        })
        .await;
        orders.push(slow);
        orders
    }
}

#[test]
fn a_projection_is_made_anew_from_its_events() {
    block_on(async {
        let platform = Platform::start().await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 1_000).await;
        let buyer = platform.token("customer").await;
        platform.tale(&buyer, &product).await;
        let gone = platform.http.delete(format!("{}/v1/products/{product}", platform.url));
        assert!(gone.bearer_auth(&admin).send().await.unwrap().status().is_success());
        // Everything has come to its end, everywhere.
        platform.audit().await;

        // Nothing differs, and nothing is changed.
        let before = platform.projected().await;
        for (service, projection, _, _) in PROJECTIONS {
            let said = platform.replay(service, projection).await;
            assert!(said.contains("all as the events say") && !said.contains("wrong"), "{said}");
        }
        assert_eq!(platform.projected().await, before);

        // What was spoilt is told, and put right.
        for (service, database, damage) in [
            ("orders", "order_db", "update orders set status = 'paid', refunded = 7 where status = 'rejected'"),
            ("orders", "order_db", "delete from orders where status = 'completed'"),
            ("orders", "order_db", "update price_book set amount = 1, version = 99"),
            (
                "orders",
                "order_db",
                "insert into orders (id, customer_id, status, version, total, currency, lines, created_at, updated_at)
                 values (gen_random_uuid(), gen_random_uuid(), 'created', 1, 1, 'GBP', '[]', now(), now())",
            ),
            ("payments", "payment_db", "update payments set captured = captured + 1 where status = 'captured'"),
            ("payments", "payment_db", "delete from refunds"),
            ("catalog", "product_catalog_db", "update products set name = 'Nothing', archived = not archived"),
            ("catalog", "product_catalog_db", "update categories set products = products + 1"),
        ] {
            let mut connection = platform.database(service, database).await;
            let done = sqlx::query(AssertSqlSafe(damage)).execute(&mut connection).await.unwrap();
            assert!(done.rows_affected() > 0, "{damage}");
        }
        let spoilt = platform.projected().await;
        let (code, said) =
            platform.events(&["replay", "--service", "orders", "--projection", "orders", "--dry-run"]).await;
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("1 too many: to be put right"), "{said}");
        assert_eq!(platform.projected().await, spoilt);
        for (service, projection, _, _) in PROJECTIONS {
            assert!(platform.replay(service, projection).await.contains("put right"), "{projection}");
        }
        assert_eq!(platform.projected().await, before);
        platform.audit().await;
    });
}

#[test]
fn orders_go_on_while_their_projection_is_made_anew_and_killing_that_changes_nothing() {
    block_on(async {
        let platform = Platform::start().await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 1_000).await;
        let buyer = platform.token("customer").await;
        let first = platform.buy(&buyer, &product, 1, "tok_visa").await;
        platform.until_final(&buyer, &first).await;
        let mut connection = platform.database("orders", "order_db").await;
        let spoil = "update orders set lines = '[]' returning 1";
        let spoilt = sqlx::query(spoil).fetch_all(&mut connection).await.unwrap().len();

        // Killed where it is about to put right what differs: it waits for a lock that we hold.
        let mut holding = connection.begin().await.unwrap();
        sqlx::query("lock table orders in share row exclusive mode").execute(&mut *holding).await.unwrap();
        let mut replaying = viscount(platform.home())
            .args(["events", "replay", "--service", "orders", "--projection", "orders"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut looking = platform.database("orders", "order_db").await;
        while sqlx::query("select from pg_locks where not granted and mode = 'ExclusiveLock' and relation = 'orders'::regclass")
            .fetch_all(&mut looking)
            .await
            .unwrap()
            .is_empty()
        {
            assert!(replaying.try_wait().unwrap().is_none(), "it should wait");
            tokio::task::yield_now().await;
        }
        replaying.kill().unwrap();
        replaying.wait().unwrap();
        holding.rollback().await.unwrap();
        let still = sqlx::query("select count(*) from orders where lines = '[]'");
        let still: i64 = still.fetch_one(&mut looking).await.unwrap().get(0);
        assert_eq!(usize::try_from(still).unwrap(), spoilt);

        // Made anew again and again while orders come in.
        let placing = join_all((0..30).map(|_| platform.buy(&buyer, &product, 1, "tok_visa")));
        let replaying = async {
            for _ in 0..3 {
                platform.replay("orders", "orders").await;
                platform.replay("payments", "payments").await;
            }
        };
        let (orders, ()) = tokio::join!(placing, replaying);
        for order in &orders {
            assert_eq!(platform.until_final(&buyer, order).await, "completed");
        }
        let said = platform.replay("orders", "orders").await;
        assert!(said.contains("all as the events say"), "{said}");
        platform.audit().await;
    });
}

#[test]
fn a_topic_is_shown_from_where_one_likes() {
    block_on(async {
        let platform = Platform::start().await;
        let tail = async |arguments: &[&str]| {
            platform.events(&[&["tail", "--topic", "catalog", "--once"], arguments].concat()).await
        };
        let (code, all) = tail(&["--decode", "none"]).await;
        let all: Vec<_> = all.lines().map(str::to_owned).collect();
        assert!(code == 0 && all.len() >= 20, "{all:?}");
        let moment = all[5].split(' ').nth(1).unwrap();
        let at = all.iter().position(|line| line.contains(moment)).unwrap();
        let (_, since) = tail(&["--decode", "none", "--from", moment]).await;
        assert_eq!(since.lines().collect::<Vec<_>>(), all[at..]);
        let (_, behind) = tail(&["--decode", "none", "--from", "5"]).await;
        assert_eq!(behind.lines().collect::<Vec<_>>(), all[5..]);
        assert_eq!(tail(&["--from", "end"]).await, (0, String::new()));
        let key = all[3].split(' ').nth(2).unwrap();
        let (_, one) = tail(&["--decode", "raw", "--key", key]).await;
        let one: Value = serde_json::from_str(one.lines().next().unwrap()).unwrap();
        assert_eq!((one["subject"].as_str(), one["position"].as_i64()), (Some(key), Some(4)));

        for wrong in [
            &["tail", "--topic", "orders", "--from", "1000000"][..],
            &["tail", "--topic", "orders", "--from", "-1"],
            &["tail", "--topic", "orders", "--from", "yesterday"],
            &["tail", "--topic", "letters"],
            &["tail", "--topic", "orders", "--key", "seven"],
            &["tail", "--topic", "orders", "--source", "memory"],
            &["tail", "--topic", "orders", "--source", "broker"],
            &["replay", "--service", "orders", "--projection", "offers"],
            &["replay", "--service", "inventory", "--projection", "stock"],
        ] {
            let (code, said) = platform.events(wrong).await;
            assert_eq!(code, 2, "{wrong:?}: {said}");
            assert!(said.contains(wrong[wrong.len() - 1]) || said.contains("inventory"), "{said}");
        }
    });
}
