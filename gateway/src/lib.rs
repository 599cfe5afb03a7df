//! The one public door: routing, authentication, limits, breakers, balancing, websocket and SSE pass-through.
//!
//! A reverse proxy on hyper, made for one platform: the routing table is a page of code ([`routes`]), the checks are
//! the platform's own (`viscount_chassis::auth`), and what it refuses is an RFC 9457 problem like any service's.
//! Bodies stream through in both directions and are never held; one thread carries it all.
//!
//! ```text
//! server/    listening, connections, draining
//! wire/      framing, paths, headers, bodies: what may come in and what may go on
//! door/      the way of a request: checks, limits, forwarding
//! routes/    the routing table, as data
//! upstream/  instances, balancing, guards, tunnels
//! own/       health, metrics, OpenAPI, docs
//! ```
//!
//! [`start`] opens it on the current runtime; [`GatewayHandle::drain`] closes it in good order.

mod config;
mod door;
pub mod metrics;
mod own;
mod refusal;
pub mod routes;
mod server;
mod upstream;
mod wire;

pub use config::{Auth, CallConfig, ClientConfig, GatewayConfig, LimitsConfig, Upstreams};
pub use server::{Drained, GatewayHandle, StartError, start};
pub use upstream::discovery::Discovery;
