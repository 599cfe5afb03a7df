//! A stream by server-sent events.

use std::collections::VecDeque;

use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;

use super::{
    follow::{Closed, End, Opening, problem},
    message::Message,
    sse::{Parser, SseEvent},
};

/// The largest head; the usual buffer is as large as an answer could be, and there are ten thousand of these.
const HEAD: usize = 8 * 1024;

/// An open stream.
pub struct EventSource {
    body: Incoming,
    parser: Parser,
    ready: VecDeque<SseEvent>,
}

impl EventSource {
    /// Opens one; `Ok(None)` when the order has settled and there is nothing more to tell.
    pub async fn open(opening: &Opening<'_>) -> Result<Option<Self>, Closed> {
        let broken = |_: &dyn std::error::Error| Closed::Broken("the connection broke".to_owned());
        let stream = opening.target.connect().await.map_err(|error| Closed::Broken(error.reason()))?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD);
        let (mut sender, connection) = builder
            .handshake::<_, Empty<bytes::Bytes>>(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        // Ends with the body: how it ended is told there.
        tokio::task::spawn_local(connection);
        let mut request = Request::get(format!("/v1/orders/{}/stream", opening.order))
            .header(header::HOST, opening.target.host())
            .header(header::AUTHORIZATION, opening.bearer.clone())
            .header(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        if opening.after > 0 {
            request = request.header("last-event-id", opening.after);
        }
        let request = request.body(Empty::new()).map_err(|error| broken(&error))?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = response.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        if status != StatusCode::OK {
            let headers = response.headers().clone();
            let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            return Err(problem(status, &headers, &body));
        }
        let is_events = |value: &HeaderValue| value.as_bytes().starts_with(b"text/event-stream");
        if !response.headers().get(header::CONTENT_TYPE).is_some_and(is_events) {
            return Err(Closed::Broken("not an event stream".to_owned()));
        }
        Ok(Some(Self { body: response.into_body(), parser: Parser::default(), ready: VecDeque::new() }))
    }

    /// The next message, or how it ended.
    pub async fn next(&mut self) -> Result<Message, End> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                let message: Message = serde_json::from_str(&event.data).map_err(|_| End::Unreadable)?;
                // The id is what a browser comes back with: it has to be the version.
                return if event.id.parse() == Ok(message.version) {
                    Ok(message)
                } else {
                    Err(End::Unreadable)
                };
            }
            let bytes = match self.body.frame().await {
                None => return Err(End::Over),
                Some(Err(_)) => return Err(End::Broken("the connection broke".to_owned())),
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            let ready = &mut self.ready;
            self.parser.feed(&bytes, |event| ready.push_back(event)).map_err(|_| End::Unreadable)?;
        }
    }
}
