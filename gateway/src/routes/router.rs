//! From a path to a row of the table: a small tree of segments, built once.
//!
//! Fixed segments win over `{parameters}` (`/v1/products/search` over `/v1/products/{id}`), and a fixed segment that
//! leads nowhere does not hide the parameter beside it.

use http::{HeaderValue, Method};

use super::Route;

/// The compiled table.
#[derive(Debug)]
pub struct Router {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    fixed: Vec<(&'static str, Node)>,
    parameter: Option<Box<Node>>,
    /// Method and position in the table.
    rows: Vec<(Method, usize)>,
    allow: Option<HeaderValue>,
}

/// What a path and a method lead to.
#[derive(Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// A row, by its position in the table.
    Found(usize),
    /// The path is known, with other methods: the `Allow` header.
    WrongMethod(&'a HeaderValue),
    /// No such path.
    Unknown,
}

impl Router {
    /// Builds the tree of a table.
    pub fn new(table: &'static [Route]) -> Self {
        let mut root = Node::default();
        for (position, route) in table.iter().enumerate() {
            let mut node = &mut root;
            for segment in segments(route.path) {
                node = node.child(segment);
            }
            node.rows.push((route.method.clone(), position));
        }
        root.write_allow();
        Router { root }
    }

    /// Finds the row of a request. The path must have passed the path check.
    pub fn find(&self, method: &Method, path: &str) -> Match<'_> {
        let Some(node) = path.strip_prefix('/').and_then(|rest| self.root.descend(Some(rest))) else {
            return Match::Unknown;
        };
        let asked = if method == Method::HEAD { &Method::GET } else { method };
        match (node.rows.iter().find(|(method, _)| method == asked), &node.allow) {
            (Some((_, position)), _) => Match::Found(*position),
            (None, Some(allow)) => Match::WrongMethod(allow),
            (None, None) => Match::Unknown,
        }
    }
}

impl Node {
    fn child(&mut self, segment: &'static str) -> &mut Node {
        if segment.starts_with('{') {
            return self.parameter.get_or_insert_default();
        }
        let at = match self.fixed.iter().position(|(name, _)| *name == segment) {
            Some(at) => at,
            None => {
                self.fixed.push((segment, Node::default()));
                self.fixed.len() - 1
            }
        };
        &mut self.fixed[at].1
    }

    fn write_allow(&mut self) {
        if !self.rows.is_empty() {
            let mut methods: Vec<&str> = self.rows.iter().map(|(method, _)| method.as_str()).collect();
            if methods.contains(&"GET") {
                methods.push("HEAD");
            }
            methods.sort_unstable();
            self.allow = HeaderValue::from_str(&methods.join(", ")).ok();
        }
        for (_, child) in &mut self.fixed {
            child.write_allow();
        }
        if let Some(child) = &mut self.parameter {
            child.write_allow();
        }
    }

    /// The node at the end of what is left of the path, if rows are there.
    fn descend(&self, rest: Option<&str>) -> Option<&Node> {
        let Some(rest) = rest else {
            return (!self.rows.is_empty()).then_some(self);
        };
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        let fixed = self.fixed.iter().find(|(name, _)| *name == segment);
        fixed.and_then(|(_, child)| child.descend(rest)).or_else(|| match &self.parameter {
            Some(child) if !segment.is_empty() => child.descend(rest),
            _ => None,
        })
    }
}

fn segments(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').skip(1)
}

#[cfg(test)]
mod tests {
    use super::super::ROUTES;
    use super::*;

    fn found(method: Method, path: &str) -> Option<&'static str> {
        match Router::new(ROUTES).find(&method, path) {
            Match::Found(position) => Some(ROUTES[position].path),
            _ => None,
        }
    }

    #[test]
    fn every_row_is_reached_by_its_own_path() {
        for route in ROUTES {
            assert_eq!(
                found(route.method.clone(), &route.path.replace('{', "x").replace('}', "")),
                Some(route.path)
            );
        }
    }

    #[test]
    fn fixed_segments_win_and_do_not_hide_parameters() {
        assert_eq!(found(Method::GET, "/v1/products/search"), Some("/v1/products/search"));
        assert_eq!(found(Method::GET, "/v1/products/0198"), Some("/v1/products/{id}"));
        assert_eq!(found(Method::PUT, "/v1/products/0198"), Some("/v1/products/{id}"));
        assert_eq!(
            found(Method::GET, "/v1/inventory/low-stock/movements"),
            Some("/v1/inventory/{product_id}/movements")
        );
    }

    #[test]
    fn a_wrong_method_hears_the_right_ones() {
        let router = Router::new(ROUTES);
        let allow = HeaderValue::from_static("DELETE, GET, HEAD, PUT");
        assert_eq!(router.find(&Method::POST, "/v1/products/1"), Match::WrongMethod(&allow));
        assert_eq!(found(Method::HEAD, "/v1/products"), Some("/v1/products"));
    }

    #[test]
    fn nothing_else_exists() {
        for path in [
            "",
            "/",
            "*",
            "/v1",
            "/v1/",
            "/v1/products/",
            "//v1/products",
            "/v1//products",
            "/v2/products",
            "/v1/products/a/b",
            "/V1/products",
            "/docs/a/b",
            "v1/products",
        ] {
            assert_eq!(Router::new(ROUTES).find(&Method::GET, path), Match::Unknown, "{path}");
        }
    }
}
