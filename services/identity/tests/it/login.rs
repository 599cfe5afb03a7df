//! Logging in, and failing to.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use viscount_chassis::testing::run;
use viscount_identity::PasswordsSpec;

use crate::app::{Answer, PASSWORD, Site, TestApp};

/// What a client can see of an answer, without what differs from request to request.
fn seen(mut answer: Answer) -> (u16, Vec<String>, Value) {
    answer.body["trace_id"] = Value::Null;
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id" && *name != "date")
        .map(|h| format!("{h:?}"))
        .collect();
    headers.sort();
    (answer.status.as_u16(), headers, answer.body)
}

#[test]
fn nobody_learns_who_has_an_account() {
    run(async {
        let (_site, app) = TestApp::start().await;
        app.register("ada@example.com").await.expect(201);
        let wrong =
            seen(app.log_in("ada@example.com", "wrong password").await.problem(401, "invalid-credentials"));
        for (email, password) in [
            ("eve@example.com", "wrong password"),
            ("eve@example.com", PASSWORD),
            ("ada@example.com", ""),
            ("ada@example.com", "correct horse batterz"),
            ("not an address", PASSWORD),
            ("", ""),
        ] {
            assert_eq!(seen(app.log_in(email, password).await), wrong, "{email} {password}");
        }
        let long = "x".repeat(5_000);
        assert_eq!(seen(app.log_in("ada@example.com", &long).await), wrong);
        assert_eq!(seen(app.log_in(&long, &long).await), wrong);
    });
}

#[test]
fn bodies_that_are_no_login_are_refused() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let path = "/v1/auth/login";
        app.raw(path, "application/json", "{").await.expect(400);
        app.raw(path, "text/plain", "{}").await.expect(415);
        app.raw(path, "application/json", vec![b' '; 20_000]).await.expect(413);
        app.post(path, &json!({ "email": "ada@example.com" })).await.expect(422);
        app.post(path, &json!({ "email": "ada@example.com", "password": PASSWORD, "remember": true }))
            .await
            .expect(422);
        app.post(path, &json!({ "email": "ada\u{0}@example.com", "password": PASSWORD })).await.expect(422);
        app.post(path, &json!({ "email": 7, "password": PASSWORD })).await.expect(422);
        let answer = app.get(path, None).await.problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), "POST");
    });
}

#[test]
fn a_crowd_is_told_to_come_again() {
    run(async {
        let mut site = Site::new().await;
        site.config.passwords = PasswordsSpec { threads: 1, waiting: 2, patience: Duration::from_secs(30) };
        let app = site.start().await;
        let answers = join_all((0..30).map(|_| app.log_in("eve@example.com", PASSWORD))).await;
        let busy: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
        let served = answers.iter().filter(|answer| answer.status == 401).count();
        assert_eq!(busy.len() + served, 30);
        assert!(!busy.is_empty() && served >= 3, "{} busy, {served} served", busy.len());
        assert!(busy.iter().all(|answer| !answer.header("retry-after").is_empty()));
        app.log_in("eve@example.com", PASSWORD).await.expect(401);
    });
}
