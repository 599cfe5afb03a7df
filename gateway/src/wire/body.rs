//! Bodies on their way through: never held, only counted and timed.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// A request body on its way to a service.
#[derive(Debug)]
pub(crate) struct Upload {
    inner: Option<Incoming>,
    left: u64,
    until: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// Where it goes back to when it is dropped untouched.
    home: Option<UploadHome>,
}

/// Lends a body out for one attempt. If that attempt never began to send it (a refused connection), it comes back
/// and may go to another instance.
#[derive(Debug, Clone)]
pub(crate) struct UploadHome(Arc<Mutex<Option<Upload>>>);

impl UploadHome {
    pub(crate) fn new(body: Upload) -> Self {
        UploadHome(Arc::new(Mutex::new(Some(body))))
    }

    pub(crate) fn lend(&self) -> Option<Upload> {
        let mut body = self.slot().take()?;
        body.home = Some(self.clone());
        Some(body)
    }

    pub(crate) fn is_home(&self) -> bool {
        self.slot().is_some()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Upload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let (inner, left, until) = (self.inner.take(), self.left, self.until);
            *home.slot() = Some(Upload { inner, left, until, timer: None, home: None });
        }
    }
}

/// Why a request body broke off. All three are the client's doing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("larger than this route allows")]
    TooLarge,
    #[error("did not arrive in time")]
    TooSlow,
    #[error("broke off: {0}")]
    Broken(#[from] hyper::Error),
}

impl Upload {
    pub(crate) fn empty() -> Self {
        Upload { inner: None, left: 0, until: Instant::now(), timer: None, home: None }
    }

    /// At most `limit` bytes, all of them here by `until`.
    pub(crate) fn new(inner: Incoming, limit: u64, until: Instant) -> Self {
        Upload { inner: Some(inner), left: limit, until, timer: None, home: None }
    }

    /// The reason in an error's chain of causes, if it lies with the upload.
    pub(crate) fn blame<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a UploadError> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = self.get_mut();
        // Touched: from here on it goes out once or not at all.
        this.home = None;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        match Pin::new(inner).poll_frame(cx) {
            Poll::Pending => {
                let until = this.until;
                let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Some(Err(UploadError::TooSlow)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                let size = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(left) = this.left.checked_sub(size) else {
                    return Poll::Ready(Some(Err(UploadError::TooLarge)));
                };
                this.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

/// A response body on its way to a client: the gateway's own, or a service's.
#[derive(Debug)]
pub(crate) enum Body {
    Own(Option<Bytes>),
    Relay(Relay),
}

/// A service's body. Streams may be silent for as long as they like; anything else that stops is broken off.
#[derive(Debug)]
pub(crate) struct Relay {
    inner: Incoming,
    idle: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Why a response body broke off; the client sees its connection close, as the head is long gone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("the service stopped in the middle of its answer")]
    Stalled,
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

impl Body {
    pub(crate) fn own(bytes: impl Into<Bytes>) -> Self {
        Body::Own(Some(bytes.into()))
    }

    pub(crate) fn empty() -> Self {
        Body::Own(None)
    }

    pub(crate) fn relay(inner: Incoming, idle: Option<Duration>) -> Self {
        Body::Relay(Relay { inner, idle, timer: None })
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        match self.get_mut() {
            Body::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Relay(relay) => relay.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Own(bytes) => bytes.is_none(),
            Body::Relay(relay) => relay.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Body::Relay(relay) => relay.inner.size_hint(),
        }
    }
}

impl Relay {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending => {
                let Some(idle) = self.idle else { return Poll::Pending };
                // Armed only while the service is waited for: a slow client is the socket's business.
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Some(Err(RelayError::Stalled)))
            }
            Poll::Ready(frame) => {
                self.timer = None;
                Poll::Ready(frame.map(|frame| frame.map_err(RelayError::from)))
            }
        }
    }
}
