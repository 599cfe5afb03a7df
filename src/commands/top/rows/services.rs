//! Services and their instances.

use serde::Serialize;

use crate::commands::top::{
    data::Instance,
    figures::Requests,
    format,
    model::Model,
    panes::{Cell, Column, Line, Tone, column},
};

/// Columns of the list.
pub const COLUMNS: &[Column] = &[
    column("SERVICE", 10, 0),
    column("STATE", 11, 0),
    column("UP", 4, 0),
    column("REQ/S", 6, 0),
    column("5XX", 7, 40),
    column("P99", 7, 48),
    column("VERSION", 8, 58),
];

/// A service, with the instances that are registered.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub service: String,
    /// `ready`, `degraded`, `unavailable`, `no answer` or `unknown`.
    pub state: String,
    /// Instances that take requests.
    pub ready: Option<u64>,
    /// All of them.
    pub known: Option<u64>,
    /// What it answers.
    pub requests: Requests,
    /// Who is registered for it.
    pub instances: Vec<Instance>,
    /// Why it was not heard this time.
    pub error: Option<String>,
    /// The instance that this row is about, when it stands below its service.
    #[serde(skip)]
    instance: Option<Instance>,
}

/// Each service, followed by its instances where these say more than it does.
pub fn rows(model: &Model) -> Vec<Row> {
    let mut rows = Vec::new();
    for row in services(model) {
        let tells_more = row.instances.len() > 1 || row.instances.iter().any(|one| one.health != "healthy");
        let below = row.instances.iter().filter(|_| tells_more).map(|instance| Row {
            service: row.service.clone(),
            state: format::clean(&instance.health),
            ready: None,
            known: None,
            requests: Requests::default(),
            instances: Vec::new(),
            error: None,
            instance: Some(instance.clone()),
        });
        let below: Vec<Row> = below.collect();
        rows.push(row);
        rows.extend(below);
    }
    rows
}

/// Each service.
pub fn services(model: &Model) -> Vec<Row> {
    let platform = &model.platform;
    let sums = platform.sums();
    let one = |service: String| {
        let check = platform.readiness.last.as_ref().and_then(|it| it.checks.get(&service));
        let heard = platform.process_of.get(&service);
        let error = heard.and_then(|it| it.error.as_ref()).or(platform.readiness.error.as_ref());
        let whole = platform.readiness.last.as_ref().map(|it| it.status.clone());
        let said = if service == "gateway" { whole } else { check.map(|it| it.status.clone()) };
        let state = match (said, error) {
            (_, Some(_)) if platform.readiness.error.is_some() => "no answer".to_owned(),
            (Some(said), _) => said,
            // Coordination sees those that are not behind the gateway.
            (None, None) if !platform.can_be_asked(&service) => health(model, &service),
            (None, Some(_)) => "no answer".to_owned(),
            (None, None) => "unknown".to_owned(),
        };
        let registered = platform.registry.last.iter().flatten();
        Row {
            ready: check.map(|it| it.ready),
            known: check.map(|it| it.instances),
            requests: sums.requests_at(&service),
            instances: registered.filter(|it| it.service == service).cloned().collect(),
            error: error.map(ToString::to_string),
            instance: None,
            state: format::clean(&state),
            service,
        }
    };
    platform.services().into_iter().map(one).collect()
}

/// The worst that is said of the instances of this service.
fn health(model: &Model, service: &str) -> String {
    let all = model.platform.registry.last.iter().flatten().filter(|it| it.service == service);
    let worst = all.map(|it| it.health.as_str()).max_by_key(|health| match *health {
        "unhealthy" => 2,
        "healthy" => 0,
        _ => 1,
    });
    worst.unwrap_or("unknown").to_owned()
}

impl Row {
    /// As a line of the list.
    pub fn line(&self) -> Line {
        if let Some(instance) = &self.instance {
            return self.line_of(instance);
        }
        let up = match (self.ready, self.known) {
            (Some(ready), Some(known)) => Cell::Text(format!("{ready}/{known}")),
            _ => Cell::Empty,
        };
        let version = self.instances.first().map_or(Cell::Empty, |it| Cell::Text(it.version.clone()));
        Line {
            key: self.service.clone(),
            cells: vec![
                Cell::Text(self.service.clone()),
                Cell::Text(self.state.clone()),
                up,
                Cell::Number(self.requests.per_second, format::number(self.requests.per_second)),
                Cell::number(self.requests.error_share, format::share),
                Cell::number(self.requests.p99_seconds, format::seconds),
                version,
            ],
            tone: self.tone(),
            indent: 0,
        }
    }

    fn line_of(&self, instance: &Instance) -> Line {
        let text = |text: &str| Cell::Text(format::clean(text));
        Line {
            key: format!("{} {}", self.service, instance.instance_id),
            cells: vec![
                text(&instance.address),
                text(&self.state),
                Cell::Empty,
                Cell::Empty,
                Cell::Empty,
                Cell::Empty,
                text(&instance.version),
            ],
            tone: if self.state == "unhealthy" { Tone::Bad } else { Tone::Plain },
            indent: 1,
        }
    }

    fn tone(&self) -> Tone {
        match self.state.as_str() {
            "no answer" | "unknown" => Tone::Old,
            "unavailable" | "draining" | "unhealthy" => Tone::Bad,
            _ if self.error.is_some() => Tone::Old,
            _ if self.requests.error_share.is_some_and(|share| share > 0.01) => Tone::Bad,
            "degraded" => Tone::Warning,
            _ => Tone::Plain,
        }
    }
}
