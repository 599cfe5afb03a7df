//! Reading payments: the buyer's own, or anybody's for an administrator.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use viscount_chassis::{
    http::{Caller, Page, Paged, PathId, Query, etag, not_modified},
    problem::Problem,
};
use viscount_contracts::{OrderId, PaymentId};

use super::{Api, view::PaymentView};
use crate::store::reads::{self, PaymentRow};

/// Which payments are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfOrder {
    /// The order that is paid.
    order_id: Uuid,
}

/// The payments of an order: authorisations, captures and refunds, with amounts and states.
#[utoipa::path(
    get, path = "/v1/payments", tag = "payments", params(OfOrder),
    responses(
        (status = 200, description = "The payments of this order", body = Paged<PaymentView>),
        (status = 404, description = "No such order of yours, or nothing is known of its payment yet"),
    ),
    security(("bearer" = []))
)]
pub async fn of_order(
    api: Data<Api>,
    caller: Caller,
    query: Query<OfOrder>,
    _page: Page,
) -> Result<Paged<PaymentView>, Problem> {
    let order = OrderId::from(query.into_inner().order_id);
    let payment = visible(&api, &caller, order).await?;
    Ok(Paged { items: vec![payment.into()], next_cursor: None })
}

/// One payment.
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "payments",
    params(("id" = Uuid, Path, description = "The payment's id")),
    responses(
        (status = 200, description = "The payment", body = PaymentView),
        (status = 404, description = "No such payment of yours"),
    ),
    security(("bearer" = []))
)]
pub async fn show(
    api: Data<Api>,
    caller: Caller,
    id: PathId<PaymentId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let payment = visible(&api, &caller, reads::order_of(id.into_inner())).await?;
    if let Some(unchanged) = not_modified(&request, payment.version) {
        return Ok(unchanged);
    }
    let tag = etag(payment.version);
    Ok(HttpResponse::Ok().insert_header(tag).json(PaymentView::from(payment)))
}

/// The payment, if the caller may see it. Somebody else's is as good as none.
async fn visible(api: &Api, caller: &Caller, order: OrderId) -> Result<PaymentRow, Problem> {
    let payment = reads::payment_of(&api.pool, order).await?;
    payment
        .filter(|payment| caller.0.is_admin() || payment.customer == Some(caller.0.subject))
        .ok_or_else(|| Problem::not_found("payment"))
}
