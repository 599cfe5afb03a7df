//! What has to be there before a load begins: buyers, products, their stock, and prices that every door knows.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    BadLoad, Load,
    book::{Question, is_answer, order_of},
    http::{Ask, Http},
    world::{Buyer, Target, World},
};
use crate::history::{Call, Outcome, Recorder, Wanted};

/// How long a step may take, all tries included: services may only just have come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// So many tokens are made, and products prepared, at once.
const SIDE_BY_SIDE: usize = 4;
/// What a piece costs, in pence: more than the largest part that is asked back.
const PRICE: i64 = 1_999;

/// A load that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The table is wrong.
    #[error(transparent)]
    Load(#[from] BadLoad),
    /// A door is not an address such as `http://127.0.0.1:8080`.
    #[error("{0} is not a door: http://host:port is expected")]
    Door(String),
    /// No token.
    #[error("no token: {0}")]
    Token(String),
    /// No HTTP client.
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// A step did not succeed in time.
    #[error("{step} did not succeed within {within:?}; the last answer: {last}", within = PATIENCE)]
    Step {
        /// Which.
        step: &'static str,
        /// What came back.
        last: String,
    },
}

/// Buyers with their tokens, and the administrator.
pub async fn world(load: &Load, target: &Target, recorder: &Recorder) -> Result<World, SetUpError> {
    load.check()?;
    let bad = |door: &&String| !door.starts_with("http://") || door.ends_with('/');
    if let Some(door) = [&target.door].into_iter().chain(&target.replicas).find(bad) {
        return Err(SetUpError::Door(door.clone()));
    }
    let token = |role, id| {
        let tokens = target.tokens.clone();
        async move { tokens(role, id).await.map(|bearer| (id, bearer)).map_err(SetUpError::Token) }
    };
    let (_, admin) = token("admin", Uuid::now_v7()).await?;
    let buyers = (0..load.buyers).map(|_| token("customer", Uuid::now_v7()));
    let buyers: Vec<(Uuid, String)> =
        stream::iter(buyers).buffered(SIDE_BY_SIDE).try_collect::<Vec<_>>().await?;
    let buyers = buyers.into_iter().map(|(id, bearer)| Buyer { id, bearer }).collect();
    let http = Http::new(load.connections, load.timeout, recorder.clone())?;
    Ok(World::new(load.clone(), target.clone(), buyers, admin, http, recorder.clone()))
}

/// The products that all orders are made of.
pub async fn products(world: &World) -> Result<Vec<Uuid>, SetUpError> {
    let names = (1..=world.load.products).map(|number| format!("product-{number}"));
    let made = names.map(|name| async move { product(world, &name, world.load.stock).await });
    stream::iter(made).buffered(SIDE_BY_SIDE).try_collect().await
}

/// A product with so many pieces, known at every door.
pub async fn product(world: &World, name: &str, pieces: u32) -> Result<Uuid, SetUpError> {
    let product = create(world, name).await?;
    let key = format!("{}-{name}-stock", world.run);
    let body = json!({"product_id": product, "delta": pieces, "reason": "receipt"}).to_string().into();
    let call = Call::Adjust { product, delta: i64::from(pieces), key };
    until(world, "receiving stock", |_| (call.clone(), Bytes::clone(&body))).await?;
    known(world, product).await?;
    Ok(product)
}

/// Creating a product has no key that would make it safe to repeat; each try is a product of its own, and one that
/// nobody knows of has no stock and disturbs nobody.
async fn create(world: &World, name: &str) -> Result<Uuid, SetUpError> {
    let answer = until(world, "creating a product", |attempt| {
        let sku = format!("chaos-{}-{name}-{attempt}", world.run);
        let body = json!({"sku": sku, "name": name, "price": {"amount": PRICE, "currency": "GBP"}});
        (Call::CreateProduct { key: sku.clone(), sku }, body.to_string().into())
    });
    let body = answer.await?;
    order_of(&body).ok_or_else(|| SetUpError::Step { step: "creating a product", last: body.to_string() })
}

/// Asks as an administrator until it is answered 2xx.
async fn until(
    world: &World,
    step: &'static str,
    ask: impl Fn(u32) -> (Call, Bytes),
) -> Result<Value, SetUpError> {
    let (client, until) = (world.new_client(), Instant::now() + PATIENCE);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let (call, body) = ask(attempt);
        let ask =
            Ask { client, door: &world.target.door, bearer: &world.admin, call: &call, body: Some(&body) };
        let answer = world.http.ask(ask).await;
        match answer.outcome {
            Outcome::Ok { body, .. } => return Ok(body),
            last if Instant::now() >= until || is_answer(&last) => {
                return Err(SetUpError::Step { step, last: told(&last) });
            }
            _ => sleep(answer.retry_after.unwrap_or(PAUSE).min(LONGEST_PAUSE)).await,
        }
    }
}

/// Waits until every replica of the order service can price a product. It is asked for together with one that there is
/// not: that is refused, and the problem says which of the two is unknown. So nothing is ordered.
async fn known(world: &World, product: Uuid) -> Result<(), SetUpError> {
    let (client, until) = (world.new_client(), Instant::now() + PATIENCE);
    let lines = [product, Uuid::now_v7()].map(|product| Wanted { product, quantity: 1 });
    let Target { door, replicas, .. } = &world.target;
    // Nobody knows how many there are behind the gateway.
    let doors = if replicas.is_empty() { vec![door; 3] } else { replicas.iter().collect() };
    for (number, door) in doors.into_iter().enumerate() {
        for attempt in 1.. {
            let key = format!("{}-known-{product}-{number}-{attempt}", world.run);
            let Question { call, body, .. } = world.order(0, key, lines.to_vec(), "tok_visa");
            let bearer = &world.buyer(0).bearer;
            let answer = world.http.ask(Ask { client, door, bearer, call: &call, body: Some(&body) }).await;
            if answer.problem.as_ref().is_some_and(prices_the_first_line) {
                break;
            }
            if Instant::now() >= until {
                let last = told(&answer.outcome);
                return Err(SetUpError::Step { step: "waiting for a product's price", last });
            }
            sleep(answer.retry_after.unwrap_or(PAUSE).min(LONGEST_PAUSE)).await;
        }
    }
    Ok(())
}

/// True when the problem is about an unknown product on another line than the first.
fn prices_the_first_line(problem: &Value) -> bool {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = |error: &Value| error["pointer"].as_str().is_some_and(|at| at.starts_with("/lines/0/"));
    problem["type"] == "/problems/unknown-product" && !errors.is_empty() && !errors.iter().any(first)
}

fn told(outcome: &Outcome) -> String {
    serde_json::to_string(outcome).unwrap_or_default()
}
