//! The customers of a run: registered like anybody, and kept logged in.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, future::LocalBoxFuture, stream};
use http::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::Mutex, task::JoinHandle};
use uuid::Uuid;

use super::wire::{Ask, Connection, LONGEST_PAUSE, Target};
use crate::failure::Failure;

/// So many register side by side: hashing passwords takes a core each.
const SIDE_BY_SIDE: usize = 4;

/// A login that failed is tried again after this.
const SOON: Duration = Duration::from_secs(2);

/// A customer.
struct Customer {
    email: String,
    password: String,
    bearer: RefCell<HeaderValue>,
    /// Held while logging in again, so that many requests that find the token expired make one login.
    renewing: Mutex<()>,
}

/// All customers of a run.
#[derive(Clone)]
pub struct Customers {
    target: Target,
    all: Rc<[Customer]>,
    renew_every: Duration,
}

/// Customers are kept logged in as long as this lives.
pub struct KeptLoggedIn(JoinHandle<()>);

impl Drop for KeptLoggedIn {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Deserialize)]
struct Session {
    access_token: String,
    expires_in: u64,
}

impl Customers {
    /// Registers so many and logs them in.
    pub async fn register(target: &Target, count: u32) -> Result<Self, Failure> {
        let registering = (0..count).map(|_| register(target));
        let all: Vec<(Customer, Duration)> =
            stream::iter(registering).buffered(SIDE_BY_SIDE).try_collect().await?;
        let shortest = all.iter().map(|(_, life)| *life).min().unwrap_or(Duration::MAX);
        Ok(Self {
            target: target.clone(),
            all: all.into_iter().map(|(customer, _)| customer).collect(),
            renew_every: (shortest / 2).max(Duration::from_secs(1)),
        })
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// A customer's `Authorization` header, as it is now.
    pub fn bearer(&self, customer: usize) -> Option<HeaderValue> {
        self.all.get(customer).map(|customer| customer.bearer.borrow().clone())
    }

    /// What a customer logs in with.
    pub fn credentials(&self, customer: usize) -> Option<(&str, &str)> {
        self.all.get(customer).map(|customer| (customer.email.as_str(), customer.password.as_str()))
    }

    /// Logs everybody in again before their tokens expire, until what is returned is dropped.
    pub fn keep_logged_in(&self) -> KeptLoggedIn {
        let customers = self.clone();
        let task = tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(customers.renew_every).await;
                let mut due: Vec<usize> = (0..customers.count()).collect();
                loop {
                    due = customers.renew_all(due).await;
                    if due.is_empty() {
                        break;
                    }
                    // Waiting for the next turn would be waiting until the token has expired.
                    tokio::time::sleep(SOON.min(customers.renew_every)).await;
                }
            }
        });
        KeptLoggedIn(task)
    }

    /// Logs these in again; gives those for whom it failed.
    async fn renew_all(&self, due: Vec<usize>) -> Vec<usize> {
        let mut failed = Vec::new();
        for customer in due {
            if let Some(bearer) = self.bearer(customer)
                && self.renew(customer, &bearer).await.is_err()
            {
                failed.push(customer);
            }
        }
        failed
    }

    /// The same as a future of its own; true when the customer has a new token.
    pub fn renewed(&self, customer: usize, refused: HeaderValue) -> LocalBoxFuture<'_, bool> {
        Box::pin(async move { self.renew(customer, &refused).await.is_ok() })
    }

    /// Logs a customer in again whose token was refused, unless somebody else has done so since.
    pub async fn renew(&self, customer: usize, refused: &HeaderValue) -> Result<(), Failure> {
        let Some(customer) = self.all.get(customer) else { return Ok(()) };
        let _renewing = customer.renewing.lock().await;
        if *customer.bearer.borrow() != refused {
            return Ok(());
        }
        let mut connection = Connection::new(&self.target);
        let (bearer, _) = log_in(&mut connection, &customer.email, &customer.password).await?;
        customer.bearer.replace(bearer);
        Ok(())
    }
}

async fn register(target: &Target) -> Result<(Customer, Duration), Failure> {
    let mut connection = Connection::new(target);
    let email = format!("load-{}@example.com", Uuid::new_v4().simple());
    let password = Uuid::new_v4().to_string();
    let body = json!({"email": email, "password": password, "name": "Load Test"}).to_string();
    patiently(&mut connection, "/v1/users", &body, 201).await?;
    let (bearer, life) = log_in(&mut connection, &email, &password).await?;
    let bearer = RefCell::new(bearer);
    Ok((Customer { email, password, bearer, renewing: Mutex::new(()) }, life))
}

async fn log_in(
    connection: &mut Connection,
    email: &str,
    password: &str,
) -> Result<(HeaderValue, Duration), Failure> {
    let body = json!({"email": email, "password": password}).to_string();
    let body = patiently(connection, "/v1/auth/login", &body, 200).await?;
    let unusable = |error: &dyn std::fmt::Display| Failure::Other(format!("/v1/auth/login: {error}"));
    let session: Session = serde_json::from_slice(&body).map_err(|error| unusable(&error))?;
    let bearer = format!("Bearer {}", session.access_token).parse::<HeaderValue>();
    Ok((bearer.map_err(|error| unusable(&error))?, Duration::from_secs(session.expires_in)))
}

/// Asks again when told so, a few times: hashing passwords is slow on purpose, and limited.
async fn patiently(
    connection: &mut Connection,
    path: &str,
    body: &str,
    status: u16,
) -> Result<bytes::Bytes, Failure> {
    for _ in 0..10 {
        let answer = connection.ask(Ask::post(path, body.to_owned())).await?;
        match answer.retry_after() {
            Some(pause) if matches!(answer.status.as_u16(), 429 | 503) => {
                tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
            }
            _ => return answer.expect(path, status),
        }
    }
    Err(Failure::Other(format!("{path} asks to come again, again and again")))
}
