//! The surroundings of every test: payments, the simulated provider, and a topic of orders.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use uuid::Uuid;
use viscount_chassis::{
    auth::Role,
    service::Running,
    store::{DatabaseConfig, NewEvent},
    testing::{TestBed, TestTopic, eventually},
};
use viscount_contracts::{
    Currency, Money, OrderId, RefundId, Topic, UserId,
    events::{
        common::v1 as common,
        orders::v1::{OrderCancelled, OrderRefundRequested, OrderValidated},
    },
};
use viscount_payments::{
    Config,
    provider::{
        ProviderConfig,
        signature::{self, Secret},
    },
    simulator::{self, Faults, SimulatorConfig, WebhookTarget},
};

/// One order of a test.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    pub id: OrderId,
    pub customer: UserId,
    pub amount: i64,
}

/// What may differ between tests.
pub struct Setup {
    /// How long one question to the provider may take.
    pub timeout: Duration,
    /// Whether the provider sends webhooks.
    pub webhooks: bool,
    pub cancel_quiet: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self { timeout: Duration::from_millis(900), webhooks: false, cancel_quiet: Duration::from_secs(30) }
    }
}

pub struct TestApp {
    pub bed: TestBed,
    pub orders: TestTopic,
    pub payments: Running,
    pub bank: Option<Running>,
    config: Config,
    bank_config: SimulatorConfig,
    client: Client,
    admin: String,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let bed = TestBed::start().await;
        let orders = bed.topic(Topic::Orders).await;
        let (port, bank_port) = (free_port(), free_port());
        let secret = Secret::new("whsec_test");
        let target = WebhookTarget {
            url: format!("http://127.0.0.1:{port}/v1/payments/webhooks/simulator"),
            secret: secret.clone(),
        };
        let bank_config = SimulatorConfig {
            port: bank_port,
            database: database(&bed, &simulator::MIGRATIONS, "payment_simulator").await,
            webhook: setup.webhooks.then_some(target),
            faults: Faults::default(),
        };
        let config = Config {
            port,
            database: database(&bed, &viscount_payments::MIGRATIONS, "payments").await,
            provider: ProviderConfig {
                url: format!("http://127.0.0.1:{bank_port}"),
                timeout: setup.timeout,
                concurrency: 64,
                limit: None,
            },
            webhook_secret: secret,
            cancel_quiet: setup.cancel_quiet,
            handler_deadline: Duration::from_secs(60),
        };
        let bank = simulator::start(bank_config.clone(), bed.platform()).await.expect("the bank starts");
        let payments =
            viscount_payments::start(config.clone(), bed.platform()).await.expect("payments start");
        let admin = bed.token(Role::Admin, UserId::new());
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client");
        let app = Self { bed, orders, payments, bank: Some(bank), config, bank_config, client, admin };
        app.ready().await;
        app
    }

    async fn ready(&self) {
        for port in [self.config.port, self.bank_config.port] {
            let url = format!("http://127.0.0.1:{port}/readyz");
            eventually(|| async {
                self.client.get(&url).send().await.ok().filter(|r| r.status().is_success())
            })
            .await;
        }
    }

    // Orders.

    pub fn order(&self, amount: i64) -> Order {
        Order { id: OrderId::new(), customer: UserId::new(), amount }
    }

    /// An order whose stock is reserved: it asks for its money.
    pub async fn validated(&self, amount: i64, token: &str) -> Order {
        let order = self.order(amount);
        self.publish_validated(order, token, 2).await;
        order
    }

    pub async fn publish_validated(&self, order: Order, token: &str, version: i32) -> NewEvent {
        let event = NewEvent::new(order.id, version, &validated(order, token), Timestamp::now());
        self.orders.publish_raw(event.clone()).await;
        event
    }

    pub async fn publish_cancelled(&self, order: Order, version: i32) {
        let event = OrderCancelled {
            order_id: order.id.to_string(),
            cancelled_by: "customer".into(),
            reason: "changed my mind".into(),
        };
        self.orders.publish(order.id, version, &event).await;
    }

    pub async fn publish_refund(
        &self,
        order: Order,
        refund: RefundId,
        amount: i64,
        version: i32,
    ) -> NewEvent {
        let event = OrderRefundRequested {
            order_id: order.id.to_string(),
            refund_id: refund.to_string(),
            amount: gbp(amount),
            reason: "broken".into(),
        };
        let event = NewEvent::new(order.id, version, &event, Timestamp::now());
        self.orders.publish_raw(event.clone()).await;
        event
    }

    /// The same event comes once more.
    pub async fn redeliver(&self, event: NewEvent, version: i32) {
        self.orders.publish_raw(NewEvent { version, ..event }).await;
    }

    /// Waits until payments has seen all that orders has published so far.
    pub async fn all_consumed(&self) {
        let published = self.bed.head(Topic::Orders).await;
        eventually(|| async {
            let place: Option<i64> =
                sqlx::query_scalar("select position from consumer_offsets where consumer = $1")
                    .bind(viscount_payments::NAME)
                    .fetch_optional(self.pool())
                    .await
                    .unwrap();
            (place >= Some(published)).then_some(())
        })
        .await;
    }

    // Payments.

    pub fn pool(&self) -> &PgPool {
        self.payments.database.pool()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.config.port)
    }

    pub fn get(&self, path: &str, token: &str) -> RequestBuilder {
        self.client.get(self.url(path)).bearer_auth(token)
    }

    pub async fn payment(&self, order: Order) -> Option<Value> {
        let response =
            self.get(&format!("/v1/payments?order_id={}", order.id), &self.admin).send().await.unwrap();
        match response.status() {
            StatusCode::OK => Some(response.json::<Value>().await.unwrap()["items"][0].clone()),
            StatusCode::NOT_FOUND => None,
            other => panic!("{other}"),
        }
    }

    /// The payment, as soon as it has this status.
    pub async fn payment_is(&self, order: Order, status: &str) -> Value {
        eventually(|| async { self.payment(order).await.filter(|payment| payment["status"] == status) }).await
    }

    /// The state of one refund, as soon as it is known.
    pub async fn refund_is(&self, order: Order, refund: RefundId, state: &str) -> Value {
        eventually(|| async {
            let payment = self.payment(order).await?;
            let refunds = payment["refunds"].as_array()?.clone();
            refunds.into_iter().find(|r| r["id"] == refund.to_string() && r["state"] == state)
        })
        .await
    }

    /// The kinds of the events of this order's payment, oldest first.
    pub async fn events(&self, order: Order) -> Vec<String> {
        sqlx::query_scalar("select kind from events where stream = $1 order by version")
            .bind(order.id.uuid())
            .fetch_all(self.pool())
            .await
            .unwrap()
    }

    pub async fn open_calls(&self) -> i64 {
        sqlx::query_scalar("select count(*) from open_calls").fetch_one(self.pool()).await.unwrap()
    }

    /// Stops payments and starts it again, on the same database.
    pub async fn restart_payments(&mut self) {
        let again = viscount_payments::start(Config { port: 0, ..self.config.clone() }, self.bed.platform());
        let old = std::mem::replace(&mut self.payments, again.await.expect("payments start again"));
        old.drain(Duration::from_secs(10)).await;
        self.config.port = self.payments.addr().port();
        self.ready().await;
    }

    /// A second instance on the same database.
    pub async fn second_instance(&self) -> Running {
        let config = Config { port: 0, ..self.config.clone() };
        viscount_payments::start(config, self.bed.platform()).await.expect("a second instance starts")
    }

    // The bank.

    pub async fn stop_bank(&mut self) {
        self.bank.take().expect("the bank runs").drain(Duration::from_secs(3)).await;
    }

    pub async fn start_bank(&mut self) {
        let bank = simulator::start(self.bank_config.clone(), self.bed.platform()).await;
        self.bank = Some(bank.expect("the bank starts again"));
        self.ready().await;
    }

    pub fn bank_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.bank_config.port)
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub async fn faults(&self, faults: Value) {
        let request = self.client.put(self.bank_url("/v1/simulator/faults")).json(&faults);
        assert!(request.send().await.unwrap().status().is_success());
    }

    /// Everything in the bank's books, page by page.
    pub async fn bank_ledger(&self) -> Vec<Value> {
        let (mut entries, mut after) = (Vec::new(), 0);
        loop {
            let url = self.bank_url(&format!("/v1/ledger?after={after}&limit=3"));
            let page: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
            entries.extend(page["data"].as_array().unwrap().iter().cloned());
            after = page["next_after"].as_i64().unwrap();
            if page["has_more"] == false {
                return entries;
            }
        }
    }

    pub async fn bank_charges(&self, order: Order) -> Vec<Value> {
        let of_order = |entry: &Value| {
            entry["object"] == "charge" && entry["metadata"]["order_id"] == order.id.to_string()
        };
        self.bank_ledger().await.into_iter().filter(of_order).collect()
    }

    // Webhooks.

    /// Sends a webhook as it is, with this signature.
    pub async fn webhook_signed(&self, body: &Value, signature: &str) -> StatusCode {
        let request = self.client.post(self.url("/v1/payments/webhooks/simulator"));
        request.header(signature::HEADER, signature).body(body.to_string()).send().await.unwrap().status()
    }

    /// Sends a webhook as the bank would.
    pub async fn webhook(&self, body: &Value) -> StatusCode {
        let signature =
            signature::sign(&self.config.webhook_secret, Timestamp::now(), body.to_string().as_bytes());
        self.webhook_signed(body, &signature).await
    }

    pub fn charge_succeeded(&self, order: Order, event: &str) -> Value {
        json!({
            "id": event,
            "type": "charge.succeeded",
            "created": Timestamp::now().as_second(),
            "data": { "object": {
                "id": "ch_told", "object": "charge", "amount": order.amount, "currency": "GBP", "source": "tok_visa",
                "captured": true, "status": "succeeded", "amount_refunded": 0,
                "failure_code": null, "failure_message": null, "idempotency_key": order.id.to_string(),
                "metadata": { "order_id": order.id.to_string(), "customer_id": order.customer.to_string() },
                "created": 0,
            }},
        })
    }

    // The audit.

    /// Both sides' books agree, to the penny, and ours sum to zero.
    pub async fn books_agree(&self) {
        let mut bank: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        let mut orders: BTreeMap<String, String> = BTreeMap::new();
        for entry in self.bank_ledger().await {
            let order = entry["metadata"]["order_id"].as_str().unwrap().to_owned();
            let amount = entry["amount"].as_i64().unwrap();
            if entry["object"] == "charge" && entry["status"] == "succeeded" {
                orders.insert(entry["id"].as_str().unwrap().to_owned(), order.clone());
                bank.entry(order).or_default().0 += amount;
            } else if entry["object"] == "refund" {
                assert_eq!(orders.get(entry["charge"].as_str().unwrap()), Some(&order));
                bank.entry(order).or_default().1 += amount;
            }
        }
        let rows = sqlx::query("select order_id, captured, refunded from payments where captured > 0")
            .fetch_all(self.pool())
            .await
            .unwrap();
        let ours: BTreeMap<String, (i64, i64)> =
            rows.iter().map(|row| (row.get::<Uuid, _>(0).to_string(), (row.get(1), row.get(2)))).collect();
        assert_eq!(ours, bank);

        let balance: i64 = sqlx::query_scalar(
            "select coalesce(sum(amount), 0)::bigint from ledger where account = 'provider_balance'",
        )
        .fetch_one(self.pool())
        .await
        .unwrap();
        assert_eq!(balance, ours.values().map(|(taken, returned)| taken - returned).sum::<i64>());
        let unbalanced: i64 = sqlx::query_scalar(
            "select count(*) from (select from ledger group by transaction_id having sum(amount) <> 0) as wrong",
        )
        .fetch_one(self.pool())
        .await
        .unwrap();
        assert_eq!(unbalanced, 0);
        let gaps: i64 = sqlx::query_scalar(
            "select count(*) from (select from events group by stream having max(version) <> count(*)) as gaps",
        )
        .fetch_one(self.pool())
        .await
        .unwrap();
        assert_eq!(gaps, 0);
    }

    pub async fn no_dead_letters(&self) {
        let dead: i64 =
            sqlx::query_scalar("select count(*) from dead_letters").fetch_one(self.pool()).await.unwrap();
        assert_eq!(dead, 0);
    }
}

pub fn validated(order: Order, token: &str) -> OrderValidated {
    OrderValidated {
        order_id: order.id.to_string(),
        customer_id: order.customer.to_string(),
        total: gbp(order.amount),
        payment_method: "card".into(),
        payment_token: token.into(),
    }
}

pub fn gbp(amount: i64) -> Option<common::Money> {
    Some(Money::new(amount, Currency::GBP).into())
}

async fn database(bed: &TestBed, migrations: &'static sqlx::migrate::Migrator, name: &str) -> DatabaseConfig {
    bed.database(migrations, name).await
}

/// A port of its own. The bank must come back under the address that payments knows.
fn free_port() -> u16 {
    viscount_chassis::ports::free_port().unwrap()
}
