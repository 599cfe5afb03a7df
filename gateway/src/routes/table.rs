//! The routing table. Whatever is not here does not exist outside.
//!
//! Access is deny by default: a row without a rule of its own asks for a token, and every service checks again.

use std::time::Duration;

use http::Method;
use viscount_chassis::auth::Role;

use super::Service;

/// One row: what is asked, who may ask, where it goes, within which bounds.
#[derive(Debug)]
pub struct Route {
    /// The method asked with. `HEAD` goes where `GET` goes.
    pub method: Method,
    /// The path; `{name}` stands for one non-empty segment. Also the `route` label of metrics and logs.
    pub path: &'static str,
    /// Who answers.
    pub target: Target,
    /// Who may ask.
    pub access: Access,
    /// Which limit a request counts for.
    pub limit: LimitClass,
    /// True where an answer may go on for ever: websocket upgrades pass, and no idle timeout applies.
    pub stream: bool,
    /// The largest request body, in bytes.
    pub max_body: u64,
    /// Until the answer's head must be there. A client's `Prefer: wait` adds to it.
    pub deadline: Duration,
}

/// Who answers a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A service.
    Service(Service),
    /// The service named by `?service=`.
    NamedService,
    /// The service named by `?service=`; the gateway itself without it, and for `gateway`.
    NamedServiceOr(Own),
    /// The gateway itself.
    Own(Own),
}

/// What the gateway answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// The OpenAPI documents of all services in one.
    OpenApi,
    /// The page that shows it.
    Docs,
    /// A file of that page.
    DocsFile,
    /// The process lives.
    Livez,
    /// The door is open, and how each service is.
    Readyz,
    /// Prometheus metrics.
    Metrics,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Public,
    /// Anyone with a valid token.
    Authenticated,
    /// A valid token, or a single-use ticket in the query, which the service redeems.
    AuthenticatedOrTicket,
    /// A valid token with one of these roles.
    Roles(&'static [Role]),
}

/// Requests that share one quota per principal (or per address, without a token).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitClass {
    /// Not limited: probes.
    None,
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Log-in, sign-up, tokens: what is worth guessing at.
    Auth,
    /// Opening a stream.
    Stream,
    /// Calls from payment providers.
    Webhook,
}

const KIB: u64 = 1024;
const STAFF: &[Role] = &[Role::Admin, Role::Service];
const ADMIN: &[Role] = &[Role::Admin];
/// Where a client may ask to wait up to 30 s for news.
const WAITING: Duration = Duration::from_secs(40);

/// All routes.
pub static ROUTES: &[Route] = &[
    // identity
    post("/v1/users", Service::Identity).open_to(Access::Public).limited(LimitClass::Auth),
    get("/v1/users/me", Service::Identity),
    post("/v1/auth/login", Service::Identity).open_to(Access::Public).limited(LimitClass::Auth),
    post("/oauth2/token", Service::Identity).open_to(Access::Public).limited(LimitClass::Auth),
    post("/oauth2/revoke", Service::Identity).open_to(Access::Public).limited(LimitClass::Auth),
    get("/.well-known/openid-configuration", Service::Identity).open_to(Access::Public),
    get("/.well-known/jwks.json", Service::Identity).open_to(Access::Public),
    // catalog
    get("/v1/products", Service::Catalog).open_to(Access::Public),
    get("/v1/products/search", Service::Catalog).open_to(Access::Public),
    get("/v1/products/{id}", Service::Catalog).open_to(Access::Public),
    post("/v1/products", Service::Catalog).open_to(Access::Roles(ADMIN)).body(256 * KIB),
    put("/v1/products/{id}", Service::Catalog).open_to(Access::Roles(ADMIN)).body(256 * KIB),
    delete("/v1/products/{id}", Service::Catalog).open_to(Access::Roles(ADMIN)),
    get("/v1/categories", Service::Catalog).open_to(Access::Public),
    // inventory
    get("/v1/inventory/low-stock", Service::Inventory).open_to(Access::Roles(STAFF)),
    get("/v1/inventory/{product_id}", Service::Inventory).open_to(Access::Public),
    get("/v1/inventory/{product_id}/movements", Service::Inventory).open_to(Access::Roles(STAFF)),
    post("/v1/inventory/adjust", Service::Inventory).open_to(Access::Roles(STAFF)),
    post("/v1/inventory/reserve", Service::Inventory).open_to(Access::Roles(STAFF)),
    post("/v1/inventory/release", Service::Inventory).open_to(Access::Roles(STAFF)),
    // orders
    post("/v1/orders", Service::Orders),
    get("/v1/orders", Service::Orders),
    get("/v1/orders/{id}", Service::Orders),
    get("/v1/orders/{id}/events", Service::Orders),
    post("/v1/orders/{id}/cancel", Service::Orders),
    post("/v1/orders/{id}/refund", Service::Orders),
    post("/v1/orders/{id}/stream-ticket", Service::Orders),
    get("/v1/orders/{id}/stream", Service::Orders).open_to(Access::AuthenticatedOrTicket).streaming(),
    // payments
    get("/v1/payments", Service::Payments),
    get("/v1/payments/{id}", Service::Payments),
    post("/v1/payments/webhooks/{provider}", Service::Payments)
        .open_to(Access::Public)
        .limited(LimitClass::Webhook)
        .body(256 * KIB),
    // coordination
    post("/v1/services/register", Service::Coordination).open_to(Access::Roles(ADMIN)),
    get("/v1/services", Service::Coordination).open_to(Access::Roles(ADMIN)).within(WAITING),
    get("/v1/services/{id}", Service::Coordination).open_to(Access::Roles(ADMIN)),
    delete("/v1/services/{id}", Service::Coordination).open_to(Access::Roles(ADMIN)),
    post("/v1/services/{id}/heartbeat", Service::Coordination).open_to(Access::Roles(ADMIN)),
    get("/v1/services/{id}/health", Service::Coordination).open_to(Access::Roles(ADMIN)),
    get("/v1/config/{service}", Service::Coordination).open_to(Access::Roles(ADMIN)).within(WAITING),
    put("/v1/config/{service}", Service::Coordination).open_to(Access::Roles(ADMIN)),
    get("/v1/config/{service}/history", Service::Coordination).open_to(Access::Roles(ADMIN)),
    get("/v1/locks/{name}", Service::Coordination).open_to(Access::Roles(ADMIN)),
    post("/v1/locks/{name}", Service::Coordination).open_to(Access::Roles(ADMIN)).within(WAITING),
    put("/v1/locks/{name}", Service::Coordination).open_to(Access::Roles(ADMIN)),
    delete("/v1/locks/{name}", Service::Coordination).open_to(Access::Roles(ADMIN)),
    // operation
    row(Method::GET, "/v1/ops/actors", Target::NamedService).open_to(Access::Roles(ADMIN)),
    row(Method::GET, "/v1/ops/actors/exits", Target::NamedService).open_to(Access::Roles(ADMIN)),
    row(Method::POST, "/v1/ops/actors/release", Target::NamedService)
        .open_to(Access::Roles(ADMIN))
        .limited(LimitClass::Write)
        .body(64 * KIB),
    row(Method::GET, "/v1/ops/faults", Target::NamedService).open_to(Access::Roles(ADMIN)),
    row(Method::POST, "/v1/ops/faults", Target::NamedService)
        .open_to(Access::Roles(ADMIN))
        .limited(LimitClass::Write)
        .body(64 * KIB),
    row(Method::DELETE, "/v1/ops/faults", Target::NamedService)
        .open_to(Access::Roles(ADMIN))
        .limited(LimitClass::Write),
    row(Method::DELETE, "/v1/ops/faults/{id}", Target::NamedService)
        .open_to(Access::Roles(ADMIN))
        .limited(LimitClass::Write),
    row(Method::GET, "/v1/ops/metrics", Target::NamedServiceOr(Own::Metrics)).open_to(Access::Roles(ADMIN)),
    row(Method::GET, "/v1/ops/explain", Target::NamedService).open_to(Access::Roles(ADMIN)),
    row(Method::GET, "/v1/ops/dead-letters", Target::NamedService).open_to(Access::Roles(ADMIN)),
    row(Method::GET, "/v1/ops/dead-letters/{id}", Target::NamedService).open_to(Access::Roles(ADMIN)),
    row(Method::POST, "/v1/ops/dead-letters/{id}/redrive", Target::NamedService)
        .open_to(Access::Roles(ADMIN))
        .limited(LimitClass::Write)
        .body(64 * KIB),
    get("/v1/workflows", Service::Coordination).open_to(Access::Roles(ADMIN)),
    get("/v1/workflows/{order_id}", Service::Coordination).open_to(Access::Roles(ADMIN)),
    get("/v1/ops/orders/{id}/why", Service::Coordination).open_to(Access::Roles(ADMIN)),
    post("/v1/ops/keys/rotate", Service::Identity).open_to(Access::Roles(ADMIN)),
    own("/openapi.json", Own::OpenApi),
    own("/docs", Own::Docs),
    own("/docs/", Own::DocsFile),
    own("/docs/{file}", Own::DocsFile),
    own("/livez", Own::Livez).limited(LimitClass::None),
    own("/readyz", Own::Readyz).limited(LimitClass::None),
    own("/metrics", Own::Metrics).limited(LimitClass::None),
];

const fn row(method: Method, path: &'static str, target: Target) -> Route {
    Route {
        method,
        path,
        target,
        access: Access::Authenticated,
        limit: LimitClass::Read,
        stream: false,
        max_body: 0,
        deadline: Duration::from_secs(10),
    }
}

const fn get(path: &'static str, service: Service) -> Route {
    row(Method::GET, path, Target::Service(service))
}

const fn post(path: &'static str, service: Service) -> Route {
    row(Method::POST, path, Target::Service(service)).limited(LimitClass::Write).body(64 * KIB)
}

const fn put(path: &'static str, service: Service) -> Route {
    row(Method::PUT, path, Target::Service(service)).limited(LimitClass::Write).body(64 * KIB)
}

const fn delete(path: &'static str, service: Service) -> Route {
    row(Method::DELETE, path, Target::Service(service)).limited(LimitClass::Write)
}

const fn own(path: &'static str, own: Own) -> Route {
    row(Method::GET, path, Target::Own(own)).open_to(Access::Public)
}

impl Route {
    const fn open_to(mut self, access: Access) -> Route {
        self.access = access;
        self
    }

    const fn limited(mut self, limit: LimitClass) -> Route {
        self.limit = limit;
        self
    }

    const fn body(mut self, bytes: u64) -> Route {
        self.max_body = bytes;
        self
    }

    const fn within(mut self, deadline: Duration) -> Route {
        self.deadline = deadline;
        self
    }

    const fn streaming(mut self) -> Route {
        self.stream = true;
        self.limit = LimitClass::Stream;
        self
    }
}
