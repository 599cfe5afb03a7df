//! Lists and query parameters.

use serde_json::Value;

use super::app::{TestApp, header, problem};

#[actix_web::test]
async fn a_list_is_walked_page_by_page_by_its_links() {
    let app = TestApp::start().await;
    let mut path = "/v1/things?brand=%3Cacme%3E&limit=50".to_owned();
    let mut seen = Vec::new();
    loop {
        let answer = app.get(&path).send().await.unwrap();
        let link = header(&answer, "link");
        let body: Value = answer.json().await.unwrap();
        seen.extend(body["items"].as_array().unwrap().iter().map(|item| item.as_u64().unwrap()));
        let Some(cursor) = body["next_cursor"].as_str() else {
            assert!(link.is_empty(), "{link}");
            break;
        };
        let target = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
        assert!(target.ends_with(cursor) && target.contains("brand=%3Cacme%3E&limit=50"), "{target}");
        path = target.to_owned();
    }
    assert_eq!(seen, (1..=120).collect::<Vec<_>>());

    let empty: Value = app.get("/v1/things?brand=none").send().await.unwrap().json().await.unwrap();
    assert_eq!(empty, serde_json::json!({"items": [], "next_cursor": null}));
    let fifty: Value = app.get("/v1/things").send().await.unwrap().json().await.unwrap();
    assert_eq!(fifty["items"].as_array().unwrap().len(), 50);
}

#[actix_web::test]
async fn a_bad_parameter_is_400_and_named() {
    let app = TestApp::start().await;
    let long = format!("cursor={}", "a".repeat(2000));
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("%6Cimit=0", "limit"),
        ("cursor=", "cursor"),
        ("cursor=%21%21", "cursor"),
        ("cursor=bm90IGpzb24", "cursor"),
        ("cursor=IlwwIg", "cursor"),
        ("cursor=MTAwMDAwMDAwMDAwMDAwMDAwMDA", "cursor"),
        (long.as_str(), "cursor"),
        ("colour=red", "colour"),
        ("limit=5&colour=red", "colour"),
        ("min_price=cheap", "min_price"),
        ("min_price=99999999999999999999", "min_price"),
        ("min_price=1&min_price=2", "min_price"),
        ("brand=a%00b", "brand"),
        ("limit=5&brand=%00", "brand"),
    ] {
        let answer = app.get(&format!("/v1/things?{query}")).send().await.unwrap();
        let problem = problem(answer).await;
        assert_eq!(problem["status"], 400, "{query} {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(name), "{query} {problem}");
    }
    for query in ["", "&&", "limit=200", "min_price=-5&brand=%F0%9F%AB%96", "brand=%ff", "brand"] {
        let answer = app.get(&format!("/v1/things?{query}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{query}");
    }
}
