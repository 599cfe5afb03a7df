//! Who may not, and what cannot be: always a 4xx that says so, never a 5xx.

use serde_json::{Map, Value, json};
use viscount_chassis::testing::run;

use crate::app::{TestApp, boots, gbp, plain, with};

#[test]
fn writing_needs_an_administrator_and_reading_nobody() {
    run(async {
        let app = TestApp::start().await;
        let id = app.create(boots()).await.id();
        let path = format!("/v1/products/{id}");
        for (method, path) in [("POST", "/v1/products"), ("PUT", path.as_str()), ("DELETE", path.as_str())] {
            let body = with(boots(), json!({ "sku": "X" }));
            app.send(app.request(method, path).header("if-match", "*").json(&body))
                .await
                .refused_as(401, "unauthorized");
            app.send(app.as_customer(method, path).header("if-match", "*").json(&body))
                .await
                .refused_as(403, "forbidden");
        }
        assert_eq!(app.show(id).await.is(200).json["sku"], "BOOT-1");
        app.get("/v1/products").await.is(200);
        app.get("/v1/categories").await.is(200);
        app.search("boots").await.is(200);
    });
}

#[test]
fn a_product_that_cannot_be_is_refused_with_every_reason() {
    run(async {
        let app = TestApp::start().await;
        let many: Map<String, Value> = (0..51).map(|n| (n.to_string(), json!("x"))).collect();
        for (changes, pointer) in [
            (json!({ "sku": "" }), "/sku"),
            (json!({ "sku": "x".repeat(65) }), "/sku"),
            (json!({ "name": "  " }), "/name"),
            (json!({ "name": "x".repeat(201) }), "/name"),
            (json!({ "name": "bell\u{7}" }), "/name"),
            (json!({ "description": "x".repeat(10_001) }), "/description"),
            (json!({ "category": "x".repeat(101) }), "/category"),
            (json!({ "brand": "two\nlines" }), "/brand"),
            (json!({ "price": gbp(0) }), "/price/amount"),
            (json!({ "price": gbp(-5) }), "/price/amount"),
            (json!({ "price": gbp(1_000_000_000_001) }), "/price/amount"),
            (json!({ "price": { "amount": 5, "currency": "EUR" } }), "/price/currency"),
            (json!({ "price": { "amount": 5, "currency": "pounds" } }), "/price/currency"),
            (json!({ "price": { "amount": 1.5, "currency": "GBP" } }), "/price/amount"),
            (json!({ "price": { "amount": 1e30, "currency": "GBP" } }), "/price/amount"),
            (json!({ "price": 5 }), "/price"),
            (json!({ "attributes": many }), "/attributes"),
            (json!({ "attributes": { "a/b": "x\u{1}" } }), "/attributes/a~1b"),
            (json!({ "attributes": { "a": 5 } }), "/attributes/a"),
        ] {
            let refused = app.create(with(boots(), changes.clone())).await.is(422);
            assert_eq!(refused.pointers(), [pointer], "{changes}");
        }
        let refused = app.create(json!({ "sku": "", "name": "", "price": gbp(0) })).await.is(422);
        assert_eq!(refused.pointers(), ["/sku", "/name", "/price/amount"]);
        app.create(with(boots(), json!({ "colour": "red" }))).await.is(422);
        app.create(json!({ "sku": "A", "name": "B" })).await.is(422);
        assert_eq!(app.get("/v1/products").await.names(), [""; 0]);
    });
}

#[test]
fn nul_characters_are_refused_everywhere() {
    run(async {
        let app = TestApp::start().await;
        for field in ["sku", "name", "description", "category", "brand"] {
            app.create(with(boots(), json!({ field: "a\0b" }))).await.is(422);
        }
        app.create(with(boots(), json!({ "attributes": { "a\0": "b" } }))).await.is(422);
        for path in ["/v1/products?brand=a%00", "/v1/products/search?q=a%00b", "/v1/products/%00"] {
            let status = app.get(path).await.status.as_u16();
            assert!((400..500).contains(&status), "{path}: {status}");
        }
    });
}

#[test]
fn the_largest_product_fits() {
    run(async {
        let app = TestApp::start().await;
        let wide = |count: usize| "𝕏".repeat(count);
        let attributes: Map<String, Value> =
            (0..50).map(|n| (format!("{n:02}{}", wide(98)), json!(wide(500)))).collect();
        let largest = json!({
            "sku": wide(64), "name": wide(200), "description": wide(10_000), "category": wide(100), "brand": wide(100),
            "price": gbp(1_000_000_000_000), "attributes": attributes,
        });
        let id = app.create(largest.clone()).await.is(201).id();
        assert_eq!(app.show(id).await.is(200).json["attributes"], largest["attributes"]);
        let words = (0..1_400).map(|n| format!("w{n:05}")).collect::<Vec<_>>().join(" ");
        app.create(with(plain("B", "Words"), json!({ "description": words }))).await.is(201);
        app.search("w00042").await.is(200);
    });
}

#[test]
fn what_is_no_json_or_no_product_is_refused() {
    run(async {
        let app = TestApp::start().await;
        let post = || app.as_admin("POST", "/v1/products");
        app.send(post().header("content-type", "application/json").body("{")).await.is(400);
        app.send(post().header("content-type", "text/plain").body("{}")).await.is(415);
        app.send(post().header("content-type", "application/json").body("[]")).await.is(422);
        app.send(post().header("content-type", "application/json").body(vec![b' '; 300_000])).await.is(413);
        app.get("/v1/products/7").await.is(404);
        app.get("/v1/products/00000000-0000-0000-0000-000000000000").await.is(404);
        app.send(app.as_admin("PATCH", "/v1/products")).await.is(405);
        app.send(app.as_admin("POST", "/v1/products/search")).await.is(405);
    });
}

#[test]
fn forged_cursors_are_refused() {
    run(async {
        let app = TestApp::start().await;
        // base64url of: {"sort":"name","price":1,"id":"00000000-0000-0000-0000-000000000000"}
        let forged =
            "eyJzb3J0IjoibmFtZSIsInByaWNlIjoxLCJpZCI6IjAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAwMDAwMCJ9";
        app.get(&format!("/v1/products?sort=name&cursor={forged}")).await.is(400);
        app.get(&format!("/v1/products/search?q=a&cursor={forged}")).await.is(400);
        app.get("/v1/products?cursor=bnVsbA").await.is(400);
    });
}

#[test]
fn every_route_is_documented() {
    run(async {
        let app = TestApp::start().await;
        let document = app.get("/openapi.json").await.is(200).json;
        let paths = document["paths"].as_object().unwrap();
        for (path, method) in [
            ("/v1/products", "get"),
            ("/v1/products", "post"),
            ("/v1/products/search", "get"),
            ("/v1/products/{id}", "get"),
            ("/v1/products/{id}", "put"),
            ("/v1/products/{id}", "delete"),
            ("/v1/categories", "get"),
        ] {
            assert!(paths[path][method].is_object(), "{method} {path}");
        }
        assert_eq!(
            document["components"]["schemas"]["Product"]["properties"]["price"]["$ref"],
            "#/components/schemas/Money"
        );
    });
}
