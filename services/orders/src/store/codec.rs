//! Between the domain's events and their protobuf messages: the one place that knows both.

use uuid::Uuid;
use viscount_chassis::store::NewEvent;
use viscount_contracts::{
    DecodeError, Envelope, Event as Contract, Money, PaymentId, ProductId, Quantity, RefundId, UserId,
    events::orders::v1 as proto,
};

use crate::domain::{Address, CancelledBy, Draft, Event, Line, Order, Payment, PaymentMeans, ShortLine};

/// A stored event that this program cannot read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Its bytes or a field in them.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Its kind.
    #[error("unknown kind of event {0}")]
    Kind(String),
}

/// The event as it is stored and published. `after` is the order after the event.
pub fn encode(event: &Event, after: &Order) -> NewEvent {
    let order_id = after.id.to_string();
    match event {
        Event::Created(draft) => new(after, &created(order_id, draft)),
        Event::Validated => new(
            after,
            &proto::OrderValidated {
                order_id,
                customer_id: after.customer.to_string(),
                total: Some(after.total.into()),
                payment_method: after.means.method.clone(),
                payment_token: after.means.token.clone(),
            },
        ),
        Event::Rejected { code, detail, short } => {
            let short_lines = short.iter().map(short_line).collect();
            let (reason_code, detail) = ((*code).to_owned(), detail.clone());
            new(after, &proto::OrderRejected { order_id, reason_code, detail, short_lines })
        }
        Event::PaymentNoted(Payment { id, amount }) => {
            let (payment_id, amount) = (id.to_string(), Some((*amount).into()));
            new(after, &proto::OrderPaymentNoted { order_id, payment_id, amount })
        }
        Event::PaymentProcessed(Payment { id, amount }) => {
            let (payment_id, amount) = (id.to_string(), Some((*amount).into()));
            new(after, &proto::OrderPaymentProcessed { order_id, payment_id, amount })
        }
        Event::Completed => {
            let (customer_id, total) = (after.customer.to_string(), Some(after.total.into()));
            new(after, &proto::OrderCompleted { order_id, customer_id, total })
        }
        Event::Cancelled { by, reason } => {
            let (cancelled_by, reason) = (by.name().to_owned(), reason.clone());
            new(after, &proto::OrderCancelled { order_id, cancelled_by, reason })
        }
        Event::RefundRequested { refund, amount, reason } => {
            let (refund_id, amount, reason) = (refund.to_string(), Some((*amount).into()), reason.clone());
            new(after, &proto::OrderRefundRequested { order_id, refund_id, amount, reason })
        }
        Event::Refunded { refund, amount } => {
            let (refund_id, amount) = (refund.to_string(), Some((*amount).into()));
            let refunded = Some(after.refunded().into());
            new(after, &proto::OrderRefunded { order_id, refund_id, amount, refunded })
        }
        Event::RefundFailed { refund, detail } => {
            let amount = after.refund(*refund).map(|refund| refund.amount.into());
            let (refund_id, detail) = (refund.to_string(), detail.clone());
            new(after, &proto::OrderRefundFailed { order_id, refund_id, amount, detail })
        }
    }
}

fn new<E: Contract>(after: &Order, event: &E) -> NewEvent {
    NewEvent::new(after.id, after.version, event, after.updated_at)
}

fn created(order_id: String, draft: &Draft) -> proto::OrderCreated {
    proto::OrderCreated {
        order_id,
        customer_id: draft.customer.to_string(),
        lines: draft.lines.iter().map(line).collect(),
        total: Some(draft.total.into()),
        payment_method: draft.means.method.clone(),
        payment_token: draft.means.token.clone(),
        shipping_address: draft.address.as_ref().map(|address| proto::Address {
            name: address.name.clone(),
            lines: address.lines.clone(),
            city: address.city.clone(),
            postal_code: address.postal_code.clone(),
            country: address.country.clone(),
        }),
    }
}

fn line(line: &Line) -> proto::OrderLine {
    proto::OrderLine {
        product_id: line.product_id.to_string(),
        sku: line.sku.clone(),
        name: line.name.clone(),
        quantity: line.quantity.get(),
        unit_price: Some(line.unit_price.into()),
        line_total: Some(line.line_total.into()),
    }
}

fn short_line(line: &ShortLine) -> proto::ShortLine {
    proto::ShortLine {
        product_id: line.product_id.to_string(),
        wanted: line.wanted,
        available: line.available,
    }
}

/// The event that an envelope carries.
pub fn decode(envelope: &Envelope) -> Result<Event, CodecError> {
    Ok(match envelope.kind.as_ref() {
        "OrderCreated" => {
            let created: proto::OrderCreated = envelope.decode()?;
            Event::Created(Box::new(
                draft(created).map_err(|problem| envelope.unreadable::<proto::OrderCreated>(problem))?,
            ))
        }
        "OrderValidated" => Event::Validated,
        "OrderRejected" => {
            let rejected: proto::OrderRejected = envelope.decode()?;
            let code = match rejected.reason_code.as_str() {
                "insufficient_stock" => "insufficient_stock",
                _ => "payment_declined",
            };
            let short = rejected.short_lines.iter().filter_map(read_short_line).collect();
            Event::Rejected { code, detail: rejected.detail, short }
        }
        "OrderPaymentNoted" => {
            let noted: proto::OrderPaymentNoted = envelope.decode()?;
            Event::PaymentNoted(payment::<proto::OrderPaymentNoted>(
                envelope,
                &noted.payment_id,
                noted.amount.as_ref(),
            )?)
        }
        "OrderPaymentProcessed" => {
            let paid: proto::OrderPaymentProcessed = envelope.decode()?;
            Event::PaymentProcessed(payment::<proto::OrderPaymentProcessed>(
                envelope,
                &paid.payment_id,
                paid.amount.as_ref(),
            )?)
        }
        "OrderCompleted" => Event::Completed,
        "OrderCancelled" => {
            let cancelled: proto::OrderCancelled = envelope.decode()?;
            let by = CancelledBy::from_name(&cancelled.cancelled_by)
                .ok_or_else(|| envelope.unreadable::<proto::OrderCancelled>("unknown cancelled_by"))?;
            Event::Cancelled { by, reason: cancelled.reason }
        }
        "OrderRefundRequested" => {
            let asked: proto::OrderRefundRequested = envelope.decode()?;
            let (refund, amount) =
                refund::<proto::OrderRefundRequested>(envelope, &asked.refund_id, asked.amount.as_ref())?;
            Event::RefundRequested { refund, amount, reason: asked.reason }
        }
        "OrderRefunded" => {
            let done: proto::OrderRefunded = envelope.decode()?;
            let (refund, amount) =
                refund::<proto::OrderRefunded>(envelope, &done.refund_id, done.amount.as_ref())?;
            Event::Refunded { refund, amount }
        }
        "OrderRefundFailed" => {
            let failed: proto::OrderRefundFailed = envelope.decode()?;
            let refund: RefundId = failed
                .refund_id
                .parse()
                .map_err(|problem: uuid::Error| envelope.unreadable::<proto::OrderRefundFailed>(problem))?;
            Event::RefundFailed { refund, detail: failed.detail }
        }
        other => return Err(CodecError::Kind(other.to_owned())),
    })
}

fn payment<E: Contract>(
    envelope: &Envelope,
    id: &str,
    amount: Option<&viscount_contracts::events::common::v1::Money>,
) -> Result<Payment, DecodeError> {
    let id: PaymentId = id.parse().map_err(|problem: uuid::Error| envelope.unreadable::<E>(problem))?;
    let amount = Money::try_from(amount).map_err(|problem| envelope.unreadable::<E>(problem))?;
    Ok(Payment { id, amount })
}

fn refund<E: Contract>(
    envelope: &Envelope,
    id: &str,
    amount: Option<&viscount_contracts::events::common::v1::Money>,
) -> Result<(RefundId, Money), DecodeError> {
    let id: RefundId = id.parse().map_err(|problem: uuid::Error| envelope.unreadable::<E>(problem))?;
    let amount = Money::try_from(amount).map_err(|problem| envelope.unreadable::<E>(problem))?;
    Ok((id, amount))
}

fn draft(created: proto::OrderCreated) -> Result<Draft, String> {
    let text = |problem: &dyn std::fmt::Display| problem.to_string();
    let customer: UserId = created.customer_id.parse().map_err(|problem: uuid::Error| text(&problem))?;
    let total = Money::try_from(created.total.as_ref()).map_err(|problem| text(&problem))?;
    let lines = created.lines.into_iter().map(read_line).collect::<Result<_, String>>()?;
    Ok(Draft {
        customer,
        lines,
        total,
        means: PaymentMeans { method: created.payment_method, token: created.payment_token },
        address: created.shipping_address.map(|address| Address {
            name: address.name,
            lines: address.lines,
            city: address.city,
            postal_code: address.postal_code,
            country: address.country,
        }),
    })
}

fn read_line(line: proto::OrderLine) -> Result<Line, String> {
    let text = |problem: &dyn std::fmt::Display| problem.to_string();
    Ok(Line {
        product_id: line.product_id.parse::<ProductId>().map_err(|problem| text(&problem))?,
        sku: line.sku,
        name: line.name,
        quantity: Quantity::try_from(line.quantity).map_err(|problem| text(&problem))?,
        unit_price: Money::try_from(line.unit_price.as_ref()).map_err(|problem| text(&problem))?,
        line_total: Money::try_from(line.line_total.as_ref()).map_err(|problem| text(&problem))?,
    })
}

fn read_short_line(line: &proto::ShortLine) -> Option<ShortLine> {
    let product_id = ProductId::from(Uuid::parse_str(&line.product_id).ok()?);
    Some(ShortLine { product_id, wanted: line.wanted, available: line.available })
}
