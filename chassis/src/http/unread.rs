//! Bodies that nobody reads to the end.
//!
//! When a handler drops a chunked body unread, actix reads and discards the rest, for as long as the client cares to
//! send it and without any timeout: one slow client could hold a connection for ever on any route, even one that
//! answered 401. Closing after the answer, with a second's grace, is what actix does while somebody still holds the
//! body. So the layer holds it until the answer is on its way.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header;
use bytes::Bytes;
use futures_util::Stream;

/// A chunked body, shared between its handler and the layer.
pub(super) struct Unread(Rc<RefCell<Shared>>);

struct Shared {
    payload: Payload,
    ended: bool,
}

impl Unread {
    /// Takes part in the request's body, when it is one that needs it. Others cost nothing.
    pub fn watch(request: &mut ServiceRequest) -> Option<Self> {
        if !request.headers().contains_key(header::TRANSFER_ENCODING) {
            return None;
        }
        let shared = Rc::new(RefCell::new(Shared { payload: request.take_payload(), ended: false }));
        request.set_payload(Payload::Stream { payload: Box::pin(Reader(Rc::clone(&shared))) });
        Some(Unread(shared))
    }

    /// Keeps the rest of the request's body until the answer's body is sent.
    pub fn hold(self, body: BoxBody) -> BoxBody {
        if self.0.borrow().ended { body } else { BoxBody::new(Holding { body, _unread: self }) }
    }
}

struct Reader(Rc<RefCell<Shared>>);

impl Stream for Reader {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = self.0.borrow_mut();
        let polled = Pin::new(&mut shared.payload).poll_next(cx);
        shared.ended |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }
}

struct Holding {
    body: BoxBody,
    _unread: Unread,
}

impl MessageBody for Holding {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}
