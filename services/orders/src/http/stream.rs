//! `GET /v1/orders/{id}/stream`: websocket (subprotocol `orders.v1`, RFC 6455) or server-sent events.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Bytes, Data},
};
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::time::{self, Instant, timeout};
use viscount_chassis::{
    http::{Caller, Closing, Gone, MaybeCaller, NotTold, PathId, Query, WebSocket, Why, websocket},
    problem::Problem,
    telemetry::{Span, SpanKind, current_trace, current_traceparent, in_trace},
};
use viscount_contracts::OrderId;

use super::{
    Api,
    owned::owned,
    tickets::GOOD_FOR,
    wire::{EventBody, TicketBody},
};
use crate::{stream::Session, view::EventView};

const PROTOCOL: &str = "orders.v1";
/// Pause between pings. Two without any answer, and the client is taken to be gone.
const PING: Duration = Duration::from_secs(30);
/// What a slow client gets on top of that.
const SLACK: Duration = Duration::from_secs(10);

/// Where to begin, and with what admission.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// Begin behind this version; 0 tells the whole story.
    after: Option<i32>,
    /// A ticket from `stream-ticket`, for clients that cannot set headers.
    ticket: Option<String>,
}

/// Every change of the order with its version: first the past, then what happens, without a gap or a repeat. Ends when
/// the order has settled.
#[utoipa::path(
    get, path = "/v1/orders/{id}/stream", tag = "orders",
    params(("id" = Uuid, Path, description = "The order"), StreamQuery, ("Last-Event-ID" = Option<i32>, Header, description = "Like after, for server-sent events")),
    responses(
        (status = 101, description = "Websocket, subprotocol orders.v1; each text frame is an event", body = EventBody),
        (status = 200, description = "Server-sent events", body = EventBody, content_type = "text/event-stream"),
        (status = 204, description = "Server-sent events: the order has settled and there is nothing more"),
        (status = 404, description = "No such order of yours"),
    ),
    security(("bearer" = []), ())
)]
pub async fn stream(
    api: Data<Api>,
    caller: MaybeCaller,
    id: PathId<OrderId>,
    query: Query<StreamQuery>,
    request: HttpRequest,
    closing: Closing,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let query = query.into_inner();
    match (&query.ticket, &caller.0) {
        (Some(ticket), _) if api.tickets.redeem(ticket, id).await? => {}
        (Some(_), _) => {
            return Err(Problem::unauthorized("the ticket is used up, expired or for another order"));
        }
        (None, Some(caller)) => drop(owned(&api, caller, id).await?),
        (None, None) => return Err(Problem::unauthorized("a token or a ticket is needed")),
    }
    let after = query.after.map_or_else(|| last_event_id(&request), Ok)?;
    let session = Session::new(id, after.max(0), api.hub.clone(), api.store.clone());
    if request.headers().contains_key(header::UPGRADE) {
        let opened = current_traceparent();
        websocket(&request, PROTOCOL, async move |socket| {
            in_trace(opened.as_deref(), tell(socket, session, closing)).await;
        })
    } else if accepts_events(&request) {
        events(session, closing).await
    } else {
        Err(Problem::new(406, "not-acceptable", "Not acceptable")
            .with_detail("upgrade to a websocket, or accept text/event-stream"))
    }
}

/// A one-time ticket for the stream, for browsers, which cannot set headers on a websocket.
#[utoipa::path(
    post, path = "/v1/orders/{id}/stream-ticket", tag = "orders", params(("id" = Uuid, Path, description = "The order")),
    responses((status = 200, description = "A ticket", body = TicketBody), (status = 404, description = "No such order of yours")),
    security(("bearer" = []))
)]
pub async fn ticket(api: Data<Api>, caller: Caller, id: PathId<OrderId>) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    owned(&api, &caller, id).await?;
    let ticket = api.tickets.issue(id).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(TicketBody { ticket, expires_in: GOOD_FOR }))
}

fn last_event_id(request: &HttpRequest) -> Result<i32, Problem> {
    match request.headers().get("Last-Event-ID") {
        None => Ok(0),
        Some(id) => id
            .to_str()
            .ok()
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| Problem::bad_request("Last-Event-ID is the version of an event")),
    }
}

fn accepts_events(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT);
    accepted.filter_map(|value| value.to_str().ok()).any(|value| value.contains("text/event-stream"))
}

/// Tells a websocket's client all there is, until it has all, or goes, or we go.
async fn tell(mut socket: WebSocket, mut session: Session, mut closing: Closing) {
    let mut ping = time::interval_at(Instant::now() + PING, PING);
    let mut heard = Instant::now();
    let why = loop {
        tokio::select! {
            event = session.next() => match event {
                Ok(Some(event)) => {
                    let mut span = frame_span("websocket", &event);
                    match socket.tell(serde_json::to_string(&event).unwrap_or_default()).await {
                        Ok(()) => {}
                        Err(NotTold::Gone) => return span.fail("gone"),
                        Err(NotTold::TooSlow) => {
                            span.fail("too_slow");
                            break Why::TooSlow;
                        }
                    }
                }
                Ok(None) => break Why::Done,
                Err(error) => {
                    tracing::warn!(%error, "a stream ends early");
                    break Why::ComeAgain;
                }
            },
            said = socket.heard() => match said {
                Ok(()) => heard = Instant::now(),
                Err(Gone) => break Why::Done,
            },
            _ = ping.tick() => {
                if heard.elapsed() > 2 * PING + SLACK || socket.ping().await.is_err() {
                    return;
                }
            }
            () = closing.begun() => break Why::GoingAway,
        }
    };
    socket.close(why).await;
}

/// A frame that leaves, as the last step of the trace that its event belongs to, linked to whoever opened the stream.
/// Only of a trace that is kept: an order may have many who watch it.
fn frame_span(system: &'static str, event: &EventView) -> Span {
    let Some(cause) = event.trace.filter(|cause| cause.is_sampled()) else { return Span::none() };
    let mut span = Span::after(crate::NAME, SpanKind::Producer, "send orders.v1", Some(cause));
    span.set("messaging.system", system);
    span.set("messaging.operation.name", "send");
    span.set("messaging.operation.type", "send");
    span.set("messaging.destination.name", PROTOCOL);
    span.set("viscount.event.type", event.kind.clone());
    span.set("viscount.event.key", event.order_id.to_string());
    span.set("viscount.event.version", event.version);
    if let Some(opened) = current_trace() {
        span.link(opened);
    }
    span
}

async fn events(mut session: Session, closing: Closing) -> Result<HttpResponse, Problem> {
    let over = session.is_over().await.map_err(|error| {
        tracing::warn!(%error, "a stream cannot begin");
        Problem::unavailable("the order cannot be read at the moment", Duration::from_secs(1))
    })?;
    if over {
        // Tells an EventSource not to come again.
        return Ok(HttpResponse::NoContent().finish());
    }
    let frames = unfold(Some((session, closing)), |going| async move {
        let (mut session, mut closing) = going?;
        let next = tokio::select! {
            next = timeout(PING, session.next()) => next,
            // An EventSource comes again, with what it has seen last.
            () = closing.begun() => return None,
        };
        match next {
            Err(_) => Some((Ok(Bytes::from_static(b": ping\n\n")), Some((session, closing)))),
            Ok(Ok(Some(event))) => {
                let _span = frame_span("sse", &event);
                let data = serde_json::to_string(&event).unwrap_or_default();
                let frame = format!("id: {}\nevent: order\ndata: {data}\n\n", event.version);
                Some((Ok::<_, std::convert::Infallible>(Bytes::from(frame)), Some((session, closing))))
            }
            Ok(Ok(None)) => None,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a stream ends early");
                None
            }
        }
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(frames))
}
