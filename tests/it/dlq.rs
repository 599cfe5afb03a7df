//! Dead letters as an operator works with them: seen, compared, handed back, past a death in the middle.

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::platform::{Platform, basket, block_on, eventually};

impl Platform {
    /// Runs a statement in orders' database.
    pub async fn alter_orders(&self, statement: String) {
        let read = |file: &str| -> Value {
            serde_json::from_slice(&std::fs::read(self.home().join(file)).unwrap()).unwrap()
        };
        let (secrets, endpoints) = (read("secrets.json"), read("endpoints.json"));
        let password = secrets["viscount_orders"].as_str().unwrap();
        let address = endpoints["database"].as_str().unwrap();
        let url = format!("postgres://viscount_orders:{password}@{address}/order_db");
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// What `dlq` says, and its exit code.
    async fn dlq(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(&[&["dlq"], arguments].concat()).await;
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
        (output.status.code().unwrap(), said)
    }

    async fn order(&self, buyer: &str, product: &str) -> String {
        let key = Uuid::now_v7().to_string();
        let response = self.post("/v1/orders", buyer, &key, &basket(product, 1)).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        response.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }
}

#[test]
fn letters_are_handed_back_and_a_death_in_the_middle_loses_and_doubles_nothing() {
    block_on(async {
        let mut platform = Platform::start().await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 1_000).await;
        let (sick, well) = (platform.token("customer").await, platform.token("customer").await);
        let probe = platform.order(&sick, &product).await;
        let customer = platform.get(&format!("/v1/orders/{probe}"), &sick).await["customer_id"].clone();
        assert_eq!(platform.until_final(&sick, &probe).await, "completed");
        let customer = customer.as_str().unwrap();
        platform
            .alter_orders(format!(
                "alter table orders add constraint unwanted
                     check (status <> 'validated' or customer_id <> '{customer}') not valid"
            ))
            .await;
        let mut stuck = Vec::new();
        for _ in 0..4 {
            stuck.push(platform.order(&sick, &product).await);
            let other = platform.order(&well, &product).await;
            assert_eq!(platform.until_final(&well, &other).await, "completed", "neighbours go on");
        }
        let listed = eventually("four letters", || async {
            let (code, said) = platform.dlq(&["list", "--service", "orders"]).await;
            assert_eq!(code, 0, "{said}");
            said.ends_with("4 dead letters\n").then_some(said)
        })
        .await;
        assert!(stuck.iter().all(|order| listed.contains(order)) && listed.contains("unwanted"), "{listed}");
        let letter = listed.split(' ').next().unwrap();
        let (code, shown) = platform.dlq(&["show", letter]).await;
        assert!(
            code == 0 && shown.contains("InventoryReserved") && shown.contains("\"order_id\""),
            "{shown}"
        );
        let (code, differs) = platform.dlq(&["diff", letter]).await;
        assert!(code == 0 && differs.contains("newest"), "{differs}");
        assert_eq!(platform.dlq(&["redrive"]).await.0, 2, "everything is not a default");
        assert_eq!(platform.dlq(&["show", &Uuid::now_v7().to_string()]).await.0, 1);
        let (code, dry) = platform.dlq(&["redrive", "--consumer", "orders", "--dry-run"]).await;
        assert!(code == 0 && dry.contains("4 dead letters would go back"), "{dry}");

        platform.alter_orders("alter table orders drop constraint unwanted".to_owned()).await;
        platform.kill();
        platform.start_armed("consumer.redriven=1*off->return").await;
        assert!(platform.comes_up().await, "{}", platform.log());
        let (code, said) = platform.dlq(&["redrive", "--consumer", "orders"]).await;
        assert!(code == 0 && said.contains("4 dead letters go back"), "{said}");
        while !platform.has_died() {
            tokio::task::yield_now().await;
        }
        platform.start_again().await;
        for end in join_all(stuck.iter().map(|order| platform.until_final(&sick, order))).await {
            assert_eq!(end, "completed");
        }
        eventually("no letters", || async {
            (platform.dlq(&["list"]).await.1 == "0 dead letters\n").then_some(())
        })
        .await;
        platform.audit().await;

        // A message without an event, as a broker may bring one.
        let message = Uuid::now_v7().to_string();
        platform
            .alter_orders(format!(
                "insert into unreadable_messages
                    (consumer, id, topic, partition, message_offset, key, value, headers, bytes, state, attempts, error, errors)
                 values ('orders', '{message}', 'payments.events.v1', 3, 17, null, 'hello', '[]', 5, 'dead', 1, 'no event',
                    '[{{\"at\": \"2026-01-02T03:04:05Z\", \"attempts\": 1, \"error\": \"no event\"}}]')"
            ))
            .await;
        let (_, listed) = platform.dlq(&["list"]).await;
        assert!(
            listed.contains("partition 3 offset 17 unreadable") && listed.ends_with("1 dead letters\n"),
            "{listed}"
        );
        let (_, shown) = platform.dlq(&["show", &message]).await;
        assert!(shown.contains("(1 times) no event") && !shown.contains("aGVsbG8="), "{shown}");
        assert!(platform.dlq(&["show", &message, "--raw"]).await.1.contains("aGVsbG8="));
        assert_eq!(platform.dlq(&["diff", &message]).await.0, 2);
        assert_eq!(platform.dlq(&["redrive", &message]).await.0, 0);
        eventually("a second try", || async {
            let (_, shown) = platform.dlq(&["show", &message]).await;
            (shown.contains("attempts  2") && shown.contains("only an engine with brokers")).then_some(())
        })
        .await;
        assert!(!platform.run(&["audit", "--within", "30"]).await.status.success(), "somebody has to decide");
        let (code, said) = platform.dlq(&["discard", &message]).await;
        assert!(code == 0 && said.contains("is given up"), "{said}");
        assert_eq!(platform.dlq(&["discard", &message]).await.0, 1);
        platform.audit().await;
    });
}
