//! The paths a service knows, from its OpenAPI document: what is allowed where, when actix finds no route.

use std::sync::Arc;

use actix_web::HttpRequest;
use utoipa::openapi::OpenApi;

use crate::problem::Problem;

/// Paths and their methods.
#[derive(Clone, Default)]
pub(super) struct Routes {
    known: Arc<[Route]>,
}

struct Route {
    template: String,
    methods: Vec<&'static str>,
}

impl Routes {
    pub fn from_openapi(openapi: &OpenApi) -> Self {
        let ops = ["/livez", "/readyz", "/metrics", "/openapi.json", "/v1/ops/actors", "/v1/ops/metrics"];
        let ops = ops.map(|path| Route { template: path.to_owned(), methods: vec!["GET", "HEAD"] });
        let documented = openapi.paths.paths.iter().map(|(template, item)| {
            let mut methods = Vec::new();
            let mut add = |there: bool, names: &[&'static str]| {
                if there {
                    methods.extend_from_slice(names);
                }
            };
            add(item.get.is_some(), &["GET", "HEAD"]);
            add(item.post.is_some(), &["POST"]);
            add(item.put.is_some(), &["PUT"]);
            add(item.patch.is_some(), &["PATCH"]);
            add(item.delete.is_some(), &["DELETE"]);
            add(item.options.is_some(), &["OPTIONS"]);
            Route { template: template.clone(), methods }
        });
        Routes { known: documented.chain(ops).collect() }
    }

    /// The template that fits a path; one without parameters before one with.
    pub fn template(&self, path: &str) -> Option<&str> {
        self.find(path).map(|route| route.template.as_str())
    }

    /// The `Allow` header for a path; empty when the path is unknown.
    pub fn allow(&self, path: &str) -> String {
        self.find(path).map(|route| route.methods.join(", ")).unwrap_or_default()
    }

    fn find(&self, path: &str) -> Option<&Route> {
        let fitting = self.known.iter().filter(|route| fits(&route.template, path));
        fitting.min_by_key(|route| route.template.matches('{').count())
    }
}

fn fits(template: &str, path: &str) -> bool {
    let mut wanted = template.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given => {}
            (Some(wanted), Some(given))
                if wanted.starts_with('{') && wanted.ends_with('}') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

/// The answer where no route fits: 405 when the path is known for other methods, else 404.
pub(super) async fn unknown(request: HttpRequest) -> Result<&'static str, Problem> {
    let routes = request.app_data::<Routes>();
    let allow = routes.map(|routes| routes.allow(request.path())).unwrap_or_default();
    // actix finds a pattern here when only the method kept it from the route.
    let known = !allow.is_empty() || request.match_pattern().is_some();
    Err(if known { Problem::method_not_allowed(&allow) } else { Problem::not_found("path") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_fits_whole_segments() {
        assert!(fits("/v1/orders/{id}", "/v1/orders/7"));
        assert!(fits("/v1/orders/{id}/cancel", "/v1/orders/7/cancel"));
        for path in ["/v1/orders", "/v1/orders/", "/v1/orders/7/", "/v1/orders/7/8", "/v1/products/7"] {
            assert!(!fits("/v1/orders/{id}", path), "{path}");
        }
    }
}
