//! The customers of a run: registered like anybody, and kept logged in.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use http::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::wire::{Ask, Connection, Target};
use crate::failure::Failure;

/// So many register side by side: hashing passwords takes a core each.
const SIDE_BY_SIDE: usize = 4;

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

    /// Logs everybody in again before their tokens expire, as long as the run lasts.
    pub fn keep_logged_in(&self) {
        let customers = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(customers.renew_every).await;
                for customer in 0..customers.count() {
                    // When it fails, the old token is still good for as long again.
                    if let Some(bearer) = customers.bearer(customer) {
                        let _ = customers.renew(customer, &bearer).await;
                    }
                }
            }
        });
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
            Some(pause) if matches!(answer.status.as_u16(), 429 | 503) => tokio::time::sleep(pause).await,
            _ => return answer.expect(path, status),
        }
    }
    Err(Failure::Other(format!("{path} asks to come again, again and again")))
}
