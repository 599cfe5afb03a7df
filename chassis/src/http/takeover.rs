//! Connections that speak another protocol after a 101.
//!
//! actix keeps two buffers of 8 KiB and its timers with every connection for as long as it is open, and a websocket is
//! open for long: ten thousand of them would hold 200 MB of nothing. So a handler that switches protocols gets the
//! socket itself, as actix-http's upgrade service hands it out, in a task of its own; actix forgets the connection. The
//! request has come through the same app, layer and guards as any other until then, and an answer that is no takeover
//! is sent as it is.

use std::fmt;
use std::future::{Future, Ready, poll_fn, ready};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use actix_codec::{Encoder, Framed};
use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::h1::Message;
use actix_http::{ConnectionType, Request, Response, h1};
use actix_rt::net::TcpStream;
use actix_service::{Service, ServiceFactory, fn_factory, fn_service};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use bytes::BytesMut;
use futures_util::future::LocalBoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::timeout;

use super::connections::{Connections, Open};
use crate::problem::Problem;

/// How long a client may refuse to take a part of an answer.
const WRITE: Duration = Duration::from_secs(10);
/// When to come again, for whom there is no room.
const SOON: Duration = Duration::from_secs(5);

type Start = Box<dyn FnOnce(TakenOver) -> LocalBoxFuture<'static, ()>>;

/// What a 101 carries to the one who sends it.
struct Takeover(Start);

/// A connection without HTTP.
pub(super) struct TakenOver {
    pub stream: TcpStream,
    /// What the client has sent behind its request already. A copy: the buffer itself would live as long.
    pub read: Vec<u8>,
}

/// Whether the port is closing: long-lived streams say goodbye then.
#[derive(Debug, Clone)]
pub struct Closing(watch::Receiver<bool>);

impl Closing {
    pub(super) fn new(closing: watch::Receiver<bool>) -> Self {
        Closing(closing)
    }

    /// Until the port is closing. Dropping the future loses nothing.
    pub async fn begun(&mut self) {
        // An error means that the server is gone.
        let _ = self.0.wait_for(|closing| *closing).await;
    }
}

impl FromRequest for Closing {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // Without a port around it (in a test), nothing ever closes.
        ready(Ok(request.app_data::<Closing>().cloned().unwrap_or_else(|| Closing(watch::channel(false).1))))
    }
}

/// Has `start` run with the connection once this answer's head is out.
pub(super) fn take_over<F, Fut>(answer: &mut HttpResponse, start: F)
where
    F: FnOnce(TakenOver) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let start: Start = Box::new(move |connection| Box::pin(start(connection)));
    answer.extensions_mut().insert(Takeover(start));
}

/// The upgrade service of a port: the same app as for any request, and what becomes of its answer.
pub(super) fn upgrades<A>(
    app: A,
    connections: Connections,
) -> impl ServiceFactory<
    (Request, Framed<TcpStream, h1::Codec>),
    Config = (),
    Response = (),
    Error = Broken,
    InitError = (),
>
where
    A: ServiceFactory<Request, Config = ()> + 'static,
    A::Response: Into<Response<BoxBody>>,
    A::Error: Into<Response<BoxBody>>,
    A::InitError: fmt::Debug,
{
    fn_factory(move || {
        let (app, connections) = (app.new_service(()), connections.clone());
        async move {
            let app = Rc::new(app.await.map_err(|error| tracing::error!(?error, "http app not made"))?);
            Ok(fn_service(move |(request, framed): (Request, Framed<TcpStream, h1::Codec>)| {
                // Held from here on: a stop waits for it.
                let (answer, open) = (app.call(request), connections.opened());
                async move {
                    let answer = match answer.await {
                        Ok(answer) => answer.into(),
                        Err(failure) => failure.into(),
                    };
                    conclude(answer, framed, open).await.map_err(Broken)
                }
            }))
        }
    })
}

/// The connection broke before the answer was out.
#[derive(Debug, thiserror::Error)]
#[error("the connection broke: {0}")]
pub(super) struct Broken(io::Error);

/// actix asks for it; there is nobody left to send it to.
impl From<Broken> for Response<BoxBody> {
    fn from(_: Broken) -> Self {
        Response::internal_server_error().map_into_boxed_body()
    }
}

/// Sends the answer, and hands the connection over when that is what the answer says.
async fn conclude(
    mut answer: Response<BoxBody>,
    framed: Framed<TcpStream, h1::Codec>,
    mut open: Open,
) -> io::Result<()> {
    let parts = framed.into_parts();
    let (mut stream, mut codec, mut out) = (parts.io, parts.codec, parts.write_buf);
    let mut takeover = answer.extensions_mut().remove::<Takeover>();
    if takeover.is_some() && !open.is_stream() {
        takeover = None;
        answer = Problem::unavailable("too many streams are open", SOON).error_response().into();
    }
    let (mut head, body) = answer.into_parts();
    if let Some(Takeover(start)) = takeover {
        // What is told must not wait for the client to acknowledge what was told before: that is 40 ms.
        stream.set_nodelay(true)?;
        codec.encode(Message::Item((head, BodySize::None)), &mut out)?;
        send(&mut stream, &mut out).await?;
        let running = start(TakenOver { stream, read: parts.read_buf.to_vec() });
        // Of its own, so that all that actix keeps of the connection is freed with this one.
        actix_rt::spawn(async move {
            running.await;
            drop(open);
        });
        return Ok(());
    }
    head.head_mut().set_connection_type(ConnectionType::Close);
    codec.encode(Message::Item((head, body.size())), &mut out)?;
    let mut body = pin!(body);
    while let Some(chunk) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        codec.encode(
            Message::Chunk(Some(chunk.map_err(|failure| io::Error::other(failure.to_string()))?)),
            &mut out,
        )?;
        send(&mut stream, &mut out).await?;
    }
    codec.encode(Message::Chunk(None), &mut out)?;
    send(&mut stream, &mut out).await?;
    stream.shutdown().await
}

async fn send(stream: &mut TcpStream, out: &mut BytesMut) -> io::Result<()> {
    timeout(WRITE, stream.write_all_buf(out)).await?
}
