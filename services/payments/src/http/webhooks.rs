//! What the provider tells by itself: signed, and each event has its effect once, however often it is sent.
//!
//! The effect goes the same way as an answer to our own question. Whichever comes first settles the payment; the other
//! finds that nothing follows.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Path},
};
use jiff::Timestamp;
use metrics::counter;
use serde::de::DeserializeOwned;
use viscount_chassis::{http::current_traceparent, problem::Problem};
use viscount_contracts::{Currency, Money, OrderId, RefundId, UserId};

use super::Api;
use crate::{
    actors::{Request, Trouble, Work},
    domain::{Answer, CallId},
    metrics as names, provider,
    provider::{
        signature,
        wire::{self, Metadata, WebhookEvent, meta},
    },
    store::{WebhookId, reads},
};

/// How long a payment may take to settle; the sender tries again later.
const PATIENCE: Duration = Duration::from_secs(8);
/// No provider's event id is longer.
const LONGEST_ID: usize = 255;

/// What a webhook means to us.
struct Told {
    order: OrderId,
    call: CallId,
    customer: Option<UserId>,
    amount: Money,
    answer: Answer,
}

/// Takes a webhook of a payment provider. Answers 200 also for what is known already or means nothing here, so that
/// the sender does not repeat it.
#[utoipa::path(
    post, path = "/v1/payments/webhooks/{provider}", tag = "payments",
    params(
        ("provider" = String, Path, description = "The provider's name", example = "simulator"),
        ("Webhook-Signature" = String, Header, description = "t=<seconds>,v1=<HMAC-SHA256 of \"t.body\" in hex>"),
    ),
    request_body(content = String, content_type = "application/json", description = "The provider's event"),
    responses(
        (status = 200, description = "Taken"),
        (status = 400, description = "The signature is missing, wrong or too old, or the body is not an event"),
        (status = 404, description = "No such provider"),
    )
)]
pub async fn take(
    api: Data<Api>,
    name: Path<String>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    if name.as_str() != provider::NAME {
        return Err(Problem::not_found("payment provider"));
    }
    let event = believed(&api, &request, &body).inspect_err(|_| count("refused"))?;
    if reads::webhook_is_known(&api.pool, provider::NAME, &event.id).await? {
        count("repeated");
        return Ok(HttpResponse::Ok().finish());
    }
    let Some(told) = meaning(&event) else {
        count("ignored");
        return Ok(HttpResponse::Ok().finish());
    };
    api.early.tell(told.order, told.call, &told.answer);
    let Told { order, call, customer, amount, answer } = told;
    let id = WebhookId { provider: provider::NAME, event: event.id };
    let asked = api.router.ask(order, PATIENCE, |reply| Request {
        work: Work::Webhook { id, call, customer, amount, answer },
        traceparent: current_traceparent(),
        reply,
    });
    let settled = asked.await.map_err(Problem::from).and_then(|settled| {
        settled.map_err(|trouble| match trouble {
            Trouble::Away(_) => Problem::unavailable("nothing was done", Duration::from_secs(1)),
            Trouble::Refused(_) => Problem::internal(),
        })
    });
    count(if settled.is_ok() { "settled" } else { "failed" });
    settled.map(|_| HttpResponse::Ok().finish())
}

/// The event, when its signature says that the provider sent it, now.
fn believed(api: &Api, request: &HttpRequest, body: &[u8]) -> Result<WebhookEvent, Problem> {
    let header = request.headers().get(signature::HEADER).and_then(|value| value.to_str().ok());
    let header = header.ok_or_else(|| Problem::missing_header(signature::HEADER))?;
    signature::verify(&api.webhook_secret, header, body, Timestamp::now()).map_err(|error| {
        Problem::new(400, "invalid-signature", "The signature is not accepted").with_detail(error.to_string())
    })?;
    let event: WebhookEvent =
        serde_json::from_slice(body).map_err(|_| Problem::malformed("the body is not an event"))?;
    if event.id.is_empty() || event.id.len() > LONGEST_ID || event.id.chars().any(char::is_control) {
        return Err(Problem::malformed("the event has no usable id"));
    }
    Ok(event)
}

/// What an event means; `None` when it is not about a payment of ours, or not about what became of it.
fn meaning(event: &WebhookEvent) -> Option<Told> {
    match event.r#type.as_str() {
        "charge.succeeded" | "charge.failed" => {
            let charge: wire::Charge = object(event)?;
            Some(Told {
                order: id(&charge.metadata, meta::ORDER)?,
                call: CallId::Charge,
                customer: id(&charge.metadata, meta::CUSTOMER),
                amount: money(charge.amount, &charge.currency)?,
                answer: charge.answer()?,
            })
        }
        "refund.succeeded" | "refund.failed" => {
            let refund: wire::Refund = object(event)?;
            let refund_id: RefundId = id(&refund.metadata, meta::REFUND)?;
            Some(Told {
                order: id(&refund.metadata, meta::ORDER)?,
                call: CallId::Refund(refund_id),
                customer: None,
                amount: money(refund.amount, &refund.currency)?,
                answer: refund.answer()?,
            })
        }
        _ => None,
    }
}

fn object<T: DeserializeOwned>(event: &WebhookEvent) -> Option<T> {
    serde_json::from_value(event.data.object.clone()).ok()
}

fn id<T: std::str::FromStr>(metadata: &Metadata, name: &str) -> Option<T> {
    metadata.get(name)?.parse().ok()
}

fn money(amount: i64, currency: &str) -> Option<Money> {
    let currency: Currency = currency.parse().ok()?;
    Some(Money::new(amount, currency))
}

fn count(outcome: &'static str) {
    counter!(names::WEBHOOKS, "outcome" => outcome).increment(1);
}
