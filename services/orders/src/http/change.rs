//! `POST /v1/orders/{id}/cancel` and `/refund`.

use actix_web::{HttpResponse, web::Data};
use viscount_chassis::{
    http::{Body, Caller, IdempotencyKey, PathId, current_traceparent},
    idempotency::{Begun, Claim},
    problem::Problem,
};
use viscount_contracts::{OrderId, RefundId};

use super::{
    ASK, Api,
    create::{replayed, show},
    owned::owned,
    problem::refused,
    wire::{CancelRequest, OrderBody, RefundRequest},
};
use crate::{
    actors::{Refusal, Request, Told},
    domain::{CancelledBy, Command},
};

const LONGEST_REASON: usize = 500;

/// Stops an order that is not yet completed: stock is given back, and money, when it was taken. Safe to repeat.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancel", tag = "orders", params(("id" = Uuid, Path, description = "The order")), request_body = CancelRequest,
    responses(
        (status = 200, description = "Cancelled", body = OrderBody),
        (status = 404, description = "No such order of yours"),
        (status = 409, description = "Too late"),
    ),
    security(("bearer" = []))
)]
pub async fn cancel(
    api: Data<Api>,
    caller: Caller,
    id: PathId<OrderId>,
    body: Body<CancelRequest>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let reason = reason(body.into_inner().reason)?;
    let order = owned(&api, &caller, id).await?;
    let by = if order.customer == caller.subject { CancelledBy::Customer } else { CancelledBy::Admin };
    let told = ask(&api, id, Command::Cancel { by, reason }, None).await?.map_err(refused)?;
    Ok(show(HttpResponse::Ok(), told))
}

/// Returns money of a completed order, or of one that ended before and whose money did not go back by itself. Several
/// part refunds are legitimate, each with its own key; never more than was captured.
#[utoipa::path(
    post, path = "/v1/orders/{id}/refund", tag = "orders", request_body = RefundRequest,
    params(("id" = Uuid, Path, description = "The order"), ("Idempotency-Key" = String, Header, description = "One key for each act of refunding")),
    responses(
        (status = 200, description = "On its way", body = OrderBody),
        (status = 404, description = "No such order of yours"),
        (status = 409, description = "Not completed"),
        (status = 422, description = "More than is left"),
    ),
    security(("bearer" = []))
)]
pub async fn refund(
    api: Data<Api>,
    caller: Caller,
    id: PathId<OrderId>,
    key: IdempotencyKey,
    body: Body<RefundRequest>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let request = body.into_inner();
    let canonical = serde_json::to_vec(&request).map_err(|_| Problem::internal())?;
    let path = format!("/v1/orders/{id}/refund");
    let claim = Claim::new(caller.subject, key.as_str(), "POST", &path, &canonical);
    owned(&api, &caller, id).await?;
    let ticket = match api.idempotency.begin(claim).await? {
        Begun::Replay(answer) => return Ok(replayed(answer)),
        Begun::First(ticket) => ticket,
    };
    let command = Command::RequestRefund {
        refund: RefundId::new(),
        amount: request.amount.map(Into::into),
        reason: reason(request.reason)?,
    };
    let claim = ticket.claim().clone();
    match ask(&api, id, command, Some((claim.clone(), 200))).await? {
        Ok(told) => {
            ticket.committed();
            Ok(show(HttpResponse::Ok(), told))
        }
        Err(Refusal::KeyTaken) => Ok(replayed(api.idempotency.replay(&claim).await?)),
        Err(refusal) => api.idempotency.replay_or(&claim, refused(refusal)).await.map(replayed),
    }
}

async fn ask(
    api: &Api,
    id: OrderId,
    command: Command,
    claim: Option<(Claim, u16)>,
) -> Result<Result<Told, Refusal>, Problem> {
    let traceparent = current_traceparent();
    let asked = api.router.ask(id, ASK, |reply| Request { command, cause: None, claim, traceparent, reply });
    Ok(asked.await?)
}

fn reason(text: String) -> Result<String, Problem> {
    if text.chars().count() > LONGEST_REASON || text.chars().any(char::is_control) {
        let problem = "at most 500 characters, no control characters";
        return Err(Problem::unprocessable("the reason cannot be kept").with_error("/reason", problem));
    }
    Ok(text)
}
