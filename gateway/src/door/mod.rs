//! What happens to a request between the client and a service, in order:
//!
//! framing and headers are sane → the path is sane → where it leads there is a place → the address is within its limit →
//! the path leads somewhere → the token is good and its role suffices → the caller is within its limit → the body may be
//! sent → forward.
//!
//! Each step that fails is a `Refusal`; whatever comes out gets the request's id. Under a flood most requests are
//! refused, and each refusal takes from what is left for the others: so a service that has no place is found out first,
//! before anything is looked up, and refusals for want of a place or of an allowance are not logged one by one.

mod answer;
mod auth;
mod limits;
mod live_limits;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::Instant;
use viscount_chassis::auth::Verifier;
use viscount_chassis::resilience::{KeyedLimiter, Lane};

use crate::config::{CallConfig, ClientConfig, GatewayConfig};
use crate::metrics::{Held, Metrics};
use crate::own::OwnAnswers;
use crate::refusal::Refusal;
use crate::routes::{LimitClass, Match, ROUTES, Route, Router, Service, Target};
use crate::server::{Peer, PhaseWatch};
use crate::upstream::{Call, Upstream, tunnel};
use crate::wire::body::{Body, Upload};
use crate::wire::trail::{TRACEPARENT, Trail, X_REQUEST_ID};
use crate::wire::{headers, path};
use auth::admit;
use limits::{Limits, Within};
pub(crate) use live_limits::LiveLimits;
use tally::Tally;

/// Everything a request meets. One per gateway, shared by all connections.
pub(crate) struct Door {
    router: Router,
    verifier: Verifier,
    limits: Limits,
    upstream: Arc<Upstream>,
    own: OwnAnswers,
    metrics: Metrics,
    turned_away: Tally,
    calls: CallConfig,
    clients: ClientConfig,
    phase: PhaseWatch,
}

/// What is found out about a request on its way, for the answer's headers, the log and the metrics.
#[derive(Default)]
struct Found {
    route: Option<usize>,
    within: Option<Within>,
}

impl Door {
    pub(crate) fn new(config: &GatewayConfig, verifier: Verifier, phase: PhaseWatch) -> Self {
        let upstream = Arc::new(Upstream::new(&config.upstreams, &config.calls));
        Door {
            router: Router::new(ROUTES),
            verifier,
            limits: Limits::new(&config.limits),
            own: OwnAnswers::new(upstream.clone(), phase.clone()),
            upstream,
            metrics: Metrics::new(ROUTES),
            turned_away: Tally::new(),
            calls: config.calls.clone(),
            clients: config.clients.clone(),
            phase,
        }
    }

    pub(crate) fn limiters(&self) -> Vec<Arc<KeyedLimiter>> {
        self.limits.all()
    }

    pub(crate) fn upstream(&self) -> Arc<Upstream> {
        self.upstream.clone()
    }

    /// The checks before the path means anything.
    fn check_wire(&self, peer: &Peer, request: &mut Request<Incoming>) -> Result<(), Refusal> {
        if peer.notes.is_ambiguous(peer.next_request()) {
            return Err(Refusal::Ambiguous);
        }
        if headers::too_large(request.headers()) {
            return Err(Refusal::HeadersTooLarge);
        }
        if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > path::MAX_TARGET) {
            return Err(Refusal::TargetTooLong);
        }
        let uri = request.uri().clone();
        if !headers::settle_host(&uri, request.headers_mut()) {
            return Err(Refusal::Host);
        }
        path::fault(uri.path()).map_or(Ok(()), |fault| Err(Refusal::Path(fault)))
    }

    /// The whole way of one request.
    async fn pass(
        &self,
        peer: &Arc<Peer>,
        mut request: Request<Incoming>,
        trail: &Trail,
        found: &mut Found,
    ) -> Result<Response<Body>, Refusal> {
        self.check_wire(peer, &mut request)?;
        let position = match self.router.find(request.method(), request.uri().path()) {
            Match::Found(position) => Ok(position),
            Match::WrongMethod(allow) => Err(Refusal::WrongMethod(allow.clone())),
            Match::Unknown => Err(Refusal::UnknownPath),
        };
        found.route = position.as_ref().ok().copied();
        let wait = answer::wished_wait(request.headers());
        let lane = if wait.is_zero() { Lane::Usual } else { Lane::Patient };
        if let Some(Target::Service(service)) = found.route.map(|route| ROUTES[route].target)
            && self.upstream.is_shut(service, lane)
        {
            return Err(Refusal::Saturated(service));
        }
        let limit = position.as_ref().map_or(LimitClass::Read, |position| ROUTES[*position].limit);
        let address = match limit {
            // Orchestrators and scrapers ask in a fixed rhythm, and must hear the truth above all under a flood.
            LimitClass::None => peer.address,
            _ => self.limits.check_address(peer.address, request.headers(), &mut found.within)?,
        };
        let route = &ROUTES[position?];
        let principal = admit(&self.verifier, route.access, &request).await?;
        self.limits.check(route.limit, principal.as_deref(), address, &mut found.within)?;
        let service = match route.target {
            Target::Own(own) => return self.own.answer(own, request.uri().path(), request.headers()).await,
            Target::Service(service) => service,
            Target::NamedService => named_service(request.uri().query())?,
            Target::NamedServiceOr(own) => match service_parameter(request.uri().query()) {
                None | Some("gateway") => {
                    return self.own.answer(own, request.uri().path(), request.headers()).await;
                }
                Some(_) => named_service(request.uri().query())?,
            },
        };
        self.forward(service, route, peer, request, trail, wait).await
    }

    async fn forward(
        &self,
        service: Service,
        route: &'static Route,
        peer: &Arc<Peer>,
        mut request: Request<Incoming>,
        trail: &Trail,
        wait: Duration,
    ) -> Result<Response<Body>, Refusal> {
        if content_length(request.headers()).is_some_and(|length| length > route.max_body) {
            return Err(Refusal::BodyTooLarge(route.max_body));
        }
        let upgrade = headers::upgrade_protocol(request.headers()).filter(|_| route.stream);
        let client_side = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        headers::prepare_request(&mut parts.headers, &peer.address_text);
        if let Some(protocol) = upgrade {
            headers::ask_for_upgrade(&mut parts.headers, protocol);
        }
        parts.headers.insert(X_REQUEST_ID, trail.request_id.clone());
        if let Some(traceparent) = trail.traceparent() {
            parts.headers.insert(TRACEPARENT, traceparent);
        }
        let deadline = route.deadline.min(self.calls.deadline_at_most) + wait;
        let body_until = Instant::now() + self.clients.body_read.min(deadline / 2);
        let call = Call {
            // What a HEAD asks for is the head of a GET's answer; hyper leaves the body out.
            method: if parts.method == Method::HEAD { Method::GET } else { parts.method },
            target: parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")),
            headers: parts.headers,
            body: Upload::new(body, route.max_body, body_until),
            deadline,
            route: route.path,
            lane: if wait.is_zero() { Lane::Usual } else { Lane::Patient },
            max_body: route.max_body,
        };
        let mut response = self.upstream.send(service, call).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client_side) = client_side else { return Err(Refusal::Broken(service)) };
            peer.notes.set_upgraded();
            let service_side = hyper::upgrade::on(&mut response);
            let keep = (peer.clone(), Held::new(&self.metrics.tunnels));
            tokio::spawn(tunnel::run(
                client_side,
                service_side,
                self.clients.tunnel_idle,
                self.phase.clone(),
                keep,
            ));
            // The handshake's headers belong to both hops; they are the same on each.
            return Ok(response.map(|_| Body::empty()));
        }
        headers::strip_hop_by_hop(response.headers_mut());
        let idle = (!route.stream).then_some(self.calls.answer_idle);
        Ok(response.map(|body| Body::relay(body, idle)))
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn named_service(query: Option<&str>) -> Result<Service, Refusal> {
    service_parameter(query).and_then(Service::named).ok_or(Refusal::UnknownService)
}

fn service_parameter(query: Option<&str>) -> Option<&str> {
    query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("service=")))
}
