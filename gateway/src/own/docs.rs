//! `/docs`: Swagger UI over `/openapi.json`, from files inside the binary.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use utoipa_swagger_ui::Config;

use super::of_type;
use crate::wire::body::Body;

const INDEX: &str = "index.html";

/// The page's files refer to each other by relative names, so the page lives below `/docs/`.
pub(super) fn index() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/docs/index.html"));
    response
}

pub(super) fn file(name: &str) -> Option<Response<Body>> {
    let name = if name.is_empty() { INDEX } else { name };
    let config = Arc::new(Config::from("/openapi.json").try_it_out_enabled(true));
    let file = utoipa_swagger_ui::serve(name, config).ok()??;
    let mut response = of_type(&file.content_type, file.bytes.into_owned());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    if file.gzpipped {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_page_and_its_parts_are_inside() {
        for name in ["index.html", "swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
            assert_eq!(file(name).expect(name).status(), StatusCode::OK);
        }
        assert!(file("../Cargo.toml").is_none() && file("nothing.js").is_none());
    }
}
