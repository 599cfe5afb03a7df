//! `POST /v1/orders`.

use std::time::Duration;

use actix_web::{HttpResponse, HttpResponseBuilder, http::header, web::Data};
use tokio::time::{Instant, timeout_at};
use viscount_chassis::{
    http::{Body, Caller, IdempotencyKey, PreferWait, current_traceparent, etag},
    idempotency::{Begun, Claim, StoredAnswer},
    problem::Problem,
};
use viscount_contracts::OrderId;

use super::{
    ASK, Api,
    problem::{refused, unpriced},
    wire::{NewOrder, OrderBody},
};
use crate::{
    actors::{Refusal, Request, Told},
    domain::{Command, Draft, Order, PaymentMeans},
    stream::Session,
    view::OrderView,
};

/// Accepts an order. What is answered with 201 is committed and will not be lost.
///
/// Prices are the catalogue's at this moment and fixed in the order. With `Prefer: wait=5` the answer waits up to so
/// many seconds, at most nine, for a final status.
#[utoipa::path(
    post, path = "/v1/orders", tag = "orders", request_body = NewOrder,
    params(
        ("Idempotency-Key" = String, Header, description = "1 to 255 visible ASCII characters; a retry with the same key has its effect once"),
        ("Prefer" = Option<String>, Header, description = "wait=N: wait up to N seconds for a final status (RFC 7240); more than 9 counts as 9"),
    ),
    responses(
        (status = 201, description = "Accepted", body = OrderBody),
        (status = 400, description = "Not parseable, or no Idempotency-Key"),
        (status = 401, description = "No token"),
        (status = 409, description = "A request with this key is being worked on"),
        (status = 422, description = "Well-formed but refused"),
        (status = 503, description = "Come again later"),
    ),
    security(("bearer" = []))
)]
pub async fn create(
    api: Data<Api>,
    caller: Caller,
    key: IdempotencyKey,
    wait: PreferWait,
    body: Body<NewOrder>,
) -> Result<HttpResponse, Problem> {
    let new = body.into_inner();
    let canonical = serde_json::to_vec(&new).map_err(|_| Problem::internal())?;
    let claim = Claim::new(caller.subject, key.as_str(), "POST", "/v1/orders", &canonical);
    let ticket = match api.idempotency.begin(claim).await? {
        Begun::Replay(answer) => return Ok(replayed(answer)),
        Begun::First(ticket) => ticket,
    };
    let claim = ticket.claim().clone();
    let draft = match draft(&api, &caller, new) {
        Ok(draft) => Box::new(draft),
        Err(refusal) => return api.idempotency.replay_or(&claim, refusal).await.map(replayed),
    };
    let id = OrderId::new();
    let asked = api.router.ask_new(id, ASK, |reply| Request {
        command: Command::Create(draft),
        cause: None,
        claim: Some((claim.clone(), 201)),
        traceparent: current_traceparent(),
        reply,
    });
    let told = match asked.await? {
        Ok(told) => told,
        Err(Refusal::KeyTaken) => return Ok(replayed(api.idempotency.replay(&claim).await?)),
        Err(refusal) => return Err(refused(refusal)),
    };
    ticket.committed();
    viscount_chassis::failpoint!("http.before-answer");
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, format!("/v1/orders/{id}")));
    if let Some(patience) = wait.0 {
        wait_until_final(&api, &told.order, patience).await;
        if let Ok(Some(found)) = api.orders.find(id).await {
            return Ok(response.insert_header(etag(found.view.version)).json(found.view));
        }
    }
    Ok(show(response, told))
}

/// The answer that shows an order after a command.
pub fn show(mut response: HttpResponseBuilder, told: Told) -> HttpResponse {
    response.insert_header(etag(told.order.version));
    match told.body {
        Some(body) => response.content_type(header::ContentType::json()).body(body),
        None => response.json(OrderView::from(&told.order)),
    }
}

fn draft(api: &Api, caller: &Caller, new: NewOrder) -> Result<Draft, Problem> {
    let NewOrder { lines, payment, shipping_address } = new;
    if payment.method != "card" {
        return Err(Problem::unprocessable("the only method of payment is card")
            .with_error("/payment/method", "card"));
    }
    let token = payment.token.as_bytes();
    if token.is_empty() || token.len() > 255 || !token.iter().all(u8::is_ascii_graphic) {
        return Err(Problem::unprocessable("the payment token is not one of the provider's")
            .with_error("/payment/token", "1 to 255 visible ASCII characters"));
    }
    if let Some((field, problem)) = shipping_address.as_ref().and_then(|address| address.problem()) {
        return Err(Problem::unprocessable("the shipping address cannot be used")
            .with_error(format!("/shipping_address/{field}"), problem));
    }
    let wanted: Vec<_> = lines.iter().map(|line| (line.product_id, line.quantity)).collect();
    let (lines, total) = api.book.price(&wanted).map_err(|error| unpriced(&error))?;
    Ok(Draft {
        customer: caller.subject,
        lines,
        total,
        means: PaymentMeans { method: payment.method, token: payment.token },
        address: shipping_address.map(Into::into),
    })
}

/// Gives the first answer again, byte for byte.
pub fn replayed(answer: StoredAnswer) -> HttpResponse {
    let status =
        actix_web::http::StatusCode::from_u16(answer.status).unwrap_or(actix_web::http::StatusCode::OK);
    let mut response = HttpResponse::build(status);
    response.insert_header(("Idempotent-Replayed", "true")).insert_header(header::ContentType::json());
    if let Some(location) = answer.location {
        response.insert_header((header::LOCATION, location));
    }
    response.body(answer.body)
}

/// Until the order is final, or the patience ends. However long the client would wait, this waits no longer than
/// [`ASK`]; the documentation says so.
async fn wait_until_final(api: &Api, order: &Order, patience: Duration) {
    let until = Instant::now() + patience.min(ASK);
    let mut session = Session::new(order.id, order.version, api.hub.clone(), api.store.clone());
    loop {
        match timeout_at(until, session.next()).await {
            Ok(Ok(Some(event))) if !event.status.is_final() => {}
            _ => break,
        }
    }
}
