//! Reading orders.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use viscount_chassis::{
    http::{Caller, Page, Paged, PathId, Query, etag, not_modified},
    problem::Problem,
};
use viscount_contracts::OrderId;

use super::{
    Api,
    owned::owned,
    wire::{EventBody, ListQuery, OrderBody},
};
use crate::{
    domain,
    store::{self, Filter},
    view::{EventView, OrderView},
};

/// The caller's orders, newest first; an administrator sees everybody's.
#[utoipa::path(
    get, path = "/v1/orders", tag = "orders", params(ListQuery),
    responses((status = 200, description = "A page", body = Paged<OrderBody>)),
    security(("bearer" = []))
)]
pub async fn list(
    api: Data<Api>,
    caller: Caller,
    page: Page,
    query: Query<ListQuery>,
) -> Result<Paged<OrderView>, Problem> {
    let query = query.into_inner();
    let customer = match query.customer_id {
        wanted if caller.is_admin() => wanted.map(Into::into),
        Some(other) if other != caller.subject.uuid() => {
            return Err(Problem::forbidden("only an administrator may list somebody else's orders"));
        }
        _ => Some(caller.subject),
    };
    let filter = Filter {
        customer,
        status: query.status,
        created_after: query.created_after,
        created_before: query.created_before,
        before: page.after::<OrderId>()?,
        limit: i64::from(page.limit) + 1,
    };
    let orders = api.orders.list(&filter).await?;
    Ok(Paged::new(orders, page.limit, |order| order.view.id).map(|order| order.view))
}

/// One order.
#[utoipa::path(
    get, path = "/v1/orders/{id}", tag = "orders", params(("id" = Uuid, Path, description = "The order")),
    responses((status = 200, description = "The order", body = OrderBody), (status = 404, description = "No such order of yours")),
    security(("bearer" = []))
)]
pub async fn show(
    api: Data<Api>,
    caller: Caller,
    id: PathId<OrderId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let order = owned(&api, &caller, id.into_inner()).await?.view;
    if let Some(unchanged) = not_modified(&request, order.version) {
        return Ok(unchanged);
    }
    Ok(HttpResponse::Ok().insert_header(etag(order.version)).json(order))
}

/// Everything that happened to an order, oldest first.
#[utoipa::path(
    get, path = "/v1/orders/{id}/events", tag = "orders", params(("id" = Uuid, Path, description = "The order")),
    responses((status = 200, description = "The history", body = Paged<EventBody>), (status = 404, description = "No such order of yours")),
    security(("bearer" = []))
)]
pub async fn events(
    api: Data<Api>,
    caller: Caller,
    page: Page,
    id: PathId<OrderId>,
) -> Result<Paged<EventView>, Problem> {
    let id = id.into_inner();
    owned(&api, &caller, id).await?;
    let after: i32 = page.after()?.unwrap_or(0);
    let mut order = None;
    let mut history = Vec::new();
    for envelope in api.store.stream(id.uuid(), 0).await? {
        let event = store::decode(&envelope).map_err(|error| {
            tracing::error!(order = %id, %error, "an event cannot be read");
            Problem::internal()
        })?;
        order = domain::evolve(id, order, &event, envelope.occurred_at);
        if let Some(order) = &order
            && order.version > after
        {
            history.push(EventView::new(&envelope.kind, &event, order));
        }
    }
    Ok(Paged::new(history, page.limit, |event| event.version))
}
