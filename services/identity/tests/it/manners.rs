//! How the door behaves: OAuth's error shapes, documented routes, hostile forms.

use serde_json::json;
use viscount_chassis::testing::run;

use crate::app::TestApp;

const TOKEN: &str = "/oauth2/token";
const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn the_token_endpoint_refuses_in_the_words_of_the_rfc() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let none: [(&str, &str); 0] = [];
        app.form(TOKEN, &none).await.oauth(400, "invalid_request");
        app.form(TOKEN, &[("grant_type", "")]).await.oauth(400, "invalid_request");
        app.form(TOKEN, &[("grant_type", "password"), ("username", "ada")])
            .await
            .oauth(400, "unsupported_grant_type");
        app.form(TOKEN, &[("grant_type", "authorization_code")]).await.oauth(400, "unsupported_grant_type");
        app.form(TOKEN, &[("grant_type", "refresh_token")]).await.oauth(400, "invalid_request");
        for token in ["x", "", "a.b.c", &"A".repeat(64), &"A".repeat(8000), "\u{0}", "ü"] {
            let answer = app.refresh(token).await;
            let expected = if token.is_empty() { "invalid_request" } else { "invalid_grant" };
            answer.oauth(400, expected);
        }
        app.raw(TOKEN, FORM, "grant_type=refresh_token&grant_type=refresh_token")
            .await
            .oauth(400, "invalid_request");
        app.raw(TOKEN, "application/json", json!({ "grant_type": "refresh_token" }).to_string())
            .await
            .oauth(400, "invalid_request");
        app.raw(TOKEN, FORM, vec![b'a'; 100_000]).await.oauth(413, "invalid_request");
        app.raw(TOKEN, FORM, vec![0xff; 100]).await.oauth(400, "invalid_request");
        let unknown = [("grant_type", "refresh_token"), ("refresh_token", "x"), ("resource", "y")];
        app.form(TOKEN, &unknown).await.oauth(400, "invalid_grant");
    });
}

#[test]
fn every_route_is_documented() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let document = app.get("/openapi.json", None).await.expect(200).body;
        for (method, path) in [
            ("post", "/v1/users"),
            ("get", "/v1/users/me"),
            ("post", "/v1/auth/login"),
            ("post", TOKEN),
            ("post", "/oauth2/revoke"),
            ("get", "/.well-known/openid-configuration"),
            ("get", "/.well-known/jwks.json"),
            ("post", "/v1/ops/keys/rotate"),
        ] {
            assert!(document["paths"][path][method].is_object(), "{method} {path}");
            let other = if method == "get" { app.form(path, &[]).await } else { app.get(path, None).await };
            other.problem(405, "method-not-allowed");
        }
        app.get("/v1/users/somebody", None).await.problem(404, "not-found");
    });
}

#[test]
fn secrets_are_not_in_the_metrics() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let session = app.session("ada@example.com").await;
        app.refresh(session.text("refresh_token")).await.expect(200);
        app.form(TOKEN, &[("grant_type", "made-up-by-a-client")]).await.oauth(400, "unsupported_grant_type");
        let metrics = app.get("/metrics", None).await.expect(200);
        let text = metrics.body.as_str().unwrap();
        for name in ["identity_logins_total", "identity_registrations_total", "identity_password_seconds"] {
            assert!(text.contains(name), "{name}");
        }
        for secret in ["ada@", session.text("refresh_token"), "made-up-by-a-client"] {
            assert!(!text.contains(secret), "{secret}");
        }
    });
}
