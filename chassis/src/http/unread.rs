//! Bodies that nobody reads to the end.
//!
//! When a handler drops a chunked body unread, actix reads and discards the rest, for as long as the client cares to
//! send it and without any timeout: one slow client could hold a connection for ever on any route, even one that
//! answered 401. Closing after the answer, with a second's grace, is what actix does while somebody still holds the
//! body. So the layer holds it until the answer is on its way.
//!
//! The layer also learns from it whether a request that ran into its deadline was our slowness or the client's.

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

/// A request's body, shared between its handler and the layer.
pub(super) struct Unread {
    shared: Rc<RefCell<Shared>>,
    chunked: bool,
}

struct Shared {
    payload: Payload,
    at: At,
}

/// How far the handler is with the body.
#[derive(PartialEq, Eq)]
enum At {
    Untouched,
    Awaited,
    Read,
    Ended,
}

impl Unread {
    /// Takes part in the request's body. A request without one costs nothing.
    pub fn watch(request: &mut ServiceRequest) -> Option<Self> {
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let announced = request.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
        if !chunked && !announced {
            return None;
        }
        let shared = Rc::new(RefCell::new(Shared { payload: request.take_payload(), at: At::Untouched }));
        request.set_payload(Payload::Stream { payload: Box::pin(Reader(Rc::clone(&shared))) });
        Some(Unread { shared, chunked })
    }

    /// True when the handler waits for the client to send more.
    pub fn awaited(&self) -> bool {
        self.shared.borrow().at == At::Awaited
    }

    /// Keeps the rest of the request's body until the answer's body is sent.
    pub fn hold(self, body: BoxBody) -> BoxBody {
        if !self.chunked || self.shared.borrow().at == At::Ended {
            body
        } else {
            BoxBody::new(Holding { body, _unread: self })
        }
    }
}

struct Reader(Rc<RefCell<Shared>>);

impl Stream for Reader {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = self.0.borrow_mut();
        let polled = Pin::new(&mut shared.payload).poll_next(cx);
        shared.at = match &polled {
            Poll::Ready(Some(Ok(_))) => At::Read,
            Poll::Ready(None | Some(Err(_))) => At::Ended,
            Poll::Pending => At::Awaited,
        };
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
