//! Rate, errors, duration: the metrics of every request.
//!
//! Labels are the route's template, the method and the status, never an id or a path: their number is bounded by the
//! code. Handles are kept per thread, because finding one in the recorder costs more than a small handler.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use metrics::{Counter, Histogram, counter, histogram};

use crate::metrics::{HTTP_HANDLER_PANICS_TOTAL, HTTP_REQUEST_SECONDS, HTTP_REQUESTS_TOTAL};
use crate::telemetry::metrics::Exemplars;

/// The route of a request that matched none.
pub(super) const UNMATCHED: &str = "unmatched";

type ByStatus = Vec<((&'static str, &'static str, u16), Counter, Histogram, Exemplars)>;

thread_local! {
    static HANDLES: RefCell<HashMap<String, ByStatus>> = RefCell::default();
}

pub(super) fn observe(
    service: &'static str,
    route: &str,
    method: &Method,
    status: StatusCode,
    took: Duration,
    trace: Option<u128>,
) {
    let key = (service, method_label(method), status.as_u16());
    HANDLES.with_borrow_mut(|handles| {
        if !handles.contains_key(route) {
            handles.insert(route.to_owned(), Vec::new());
        }
        let Some(known) = handles.get_mut(route) else { return };
        let at = known.iter().position(|(entry, ..)| *entry == key).unwrap_or_else(|| {
            let (service, method, status) = key;
            let exemplars = Exemplars::of(
                HTTP_REQUEST_SECONDS,
                &[("service", service), ("route", route), ("method", method)],
            );
            let route = route.to_owned();
            let requests = counter!(HTTP_REQUESTS_TOTAL, "service" => service, "route" => route.clone(), "method" => method, "status" => status.to_string());
            let seconds = histogram!(HTTP_REQUEST_SECONDS, "service" => service, "route" => route, "method" => method);
            known.push((key, requests, seconds, exemplars));
            known.len() - 1
        });
        let (_, requests, seconds, exemplars) = &known[at];
        requests.increment(1);
        seconds.record(took.as_secs_f64());
        exemplars.note(took.as_secs_f64(), trace);
    });
}

pub(super) fn panicked(service: &'static str) {
    counter!(HTTP_HANDLER_PANICS_TOTAL, "service" => service).increment(1);
}

/// Anybody may invent methods; labels must not follow.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
