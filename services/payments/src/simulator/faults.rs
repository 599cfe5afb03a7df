//! How the simulator misbehaves.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, web::Data};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use viscount_chassis::{http::Body, problem::Problem};

use super::{Bank, charges::NEVER, failure::Refusal};

/// What goes wrong, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Every request takes so much longer.
    pub latency_ms: u64,
    /// The share of charges and refunds that fail with 500, undone.
    pub fail_before: f64,
    /// The share of charges and refunds that are done and never answered.
    pub lose_answer: f64,
    /// Every request is refused with 503.
    pub down: bool,
}

impl Faults {
    fn is_sound(&self) -> bool {
        let shares = [self.fail_before, self.lose_answer];
        shares.iter().all(|share| (0.0..=1.0).contains(share)) && self.latency_ms <= 60_000
    }
}

/// The faults of this moment.
#[derive(Clone)]
pub(super) struct FaultSwitch {
    now: Arc<RwLock<Faults>>,
}

impl FaultSwitch {
    pub fn new(faults: Faults) -> Self {
        Self { now: Arc::new(RwLock::new(faults)) }
    }

    /// Before anything is looked at.
    pub async fn at_the_door(&self) -> Result<(), Refusal> {
        let faults = *self.now.read();
        if faults.latency_ms > 0 {
            sleep(Duration::from_millis(faults.latency_ms)).await;
        }
        if faults.down { Err(Refusal::down()) } else { Ok(()) }
    }

    /// Before something is done.
    pub fn before(&self) -> Result<(), Refusal> {
        if hits(self.now.read().fail_before) { Err(Refusal::broken()) } else { Ok(()) }
    }

    /// After it is done.
    pub async fn after(&self) -> Result<(), Refusal> {
        let lost = hits(self.now.read().lose_answer);
        if lost {
            sleep(NEVER).await;
            return Err(Refusal::broken());
        }
        Ok(())
    }
}

fn hits(share: f64) -> bool {
    share > 0.0 && rand::random_bool(share.min(1.0))
}

/// How it misbehaves now.
#[utoipa::path(
    get, path = "/v1/simulator/faults", tag = "simulator",
    responses((status = 200, description = "The faults of this moment", body = Faults))
)]
pub(super) async fn show(bank: Data<Bank>) -> HttpResponse {
    HttpResponse::Ok().json(*bank.faults.now.read())
}

/// Makes it misbehave. Only where faults may be injected.
#[utoipa::path(
    put, path = "/v1/simulator/faults", tag = "simulator", request_body = Faults,
    responses((status = 200, description = "The faults from now on", body = Faults))
)]
pub(super) async fn set(bank: Data<Bank>, body: Body<Faults>) -> Result<HttpResponse, Problem> {
    let faults = body.into_inner();
    if !faults.is_sound() {
        return Err(Problem::unprocessable("shares lie between 0 and 1, latency_ms between 0 and 60000"));
    }
    *bank.faults.now.write() = faults;
    tracing::warn!(?faults, "the payment simulator misbehaves as told");
    Ok(HttpResponse::Ok().json(faults))
}
