//! The customers of a run: registered like anybody, and kept logged in.

use std::{cell::RefCell, rc::Rc, time::Duration};

use http::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    Failure,
    wire::{Ask, Connection, Target},
};

/// A customer.
struct Customer {
    email: String,
    password: String,
    bearer: HeaderValue,
}

/// All customers of a run.
#[derive(Clone)]
pub struct Customers {
    all: Rc<RefCell<Vec<Customer>>>,
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
        let mut connection = Connection::new(target);
        let (mut all, mut renew_every) = (Vec::new(), Duration::MAX);
        for _ in 0..count {
            let email = format!("load-{}@example.com", Uuid::new_v4().simple());
            let password = Uuid::new_v4().to_string();
            let body = json!({"email": email, "password": password, "name": "Load Test"}).to_string();
            patiently(&mut connection, "/v1/users", &body, 201).await?;
            let (bearer, expires_in) = log_in(&mut connection, &email, &password).await?;
            renew_every = renew_every.min(expires_in / 2);
            all.push(Customer { email, password, bearer });
        }
        Ok(Self { all: Rc::new(RefCell::new(all)), renew_every: renew_every.max(Duration::from_secs(1)) })
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.all.borrow().len()
    }

    /// A customer's `Authorization` header, as it is now.
    pub fn bearer(&self, customer: usize) -> Option<HeaderValue> {
        self.all.borrow().get(customer).map(|customer| customer.bearer.clone())
    }

    /// Logs everybody in again before their tokens expire, as long as the run lasts.
    pub fn keep_logged_in(&self, target: &Target) {
        let (customers, mut connection) = (self.clone(), Connection::new(target));
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(customers.renew_every).await;
                for customer in 0..customers.count() {
                    let Some((email, password)) = customers.credentials(customer) else { continue };
                    // When it fails, the old token is still good for as long again.
                    if let Ok((bearer, _)) = log_in(&mut connection, &email, &password).await
                        && let Some(customer) = customers.all.borrow_mut().get_mut(customer)
                    {
                        customer.bearer = bearer;
                    }
                }
            }
        });
    }

    fn credentials(&self, customer: usize) -> Option<(String, String)> {
        self.all.borrow().get(customer).map(|customer| (customer.email.clone(), customer.password.clone()))
    }
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
        match answer.retry_after {
            Some(pause) if matches!(answer.status.as_u16(), 429 | 503) => tokio::time::sleep(pause).await,
            _ => return answer.expect(path, status),
        }
    }
    Err(Failure::Other(format!("{path} asks to come again, again and again")))
}
