//! Who may come in.

use reqwest::header::AUTHORIZATION;
use viscount_chassis::auth::Role;
use viscount_chassis::auth::testing::TestIssuer;
use viscount_contracts::UserId;

use super::app::{TestApp, header, lonely_verifier, problem};
use super::raw;

#[actix_web::test]
async fn a_good_token_comes_in_and_no_token_is_challenged() {
    let app = TestApp::start().await;
    let subject = UserId::new();
    let token = app.issuer.token(subject, Role::Customer);
    let answer = app.get("/v1/me").bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), subject.to_string());

    let answer = app.get("/v1/me").send().await.unwrap();
    assert_eq!(header(&answer, "www-authenticate"), "Bearer");
    assert_eq!(problem(answer).await["status"], 401);

    let stranger = TestIssuer::new().token(subject, Role::Admin);
    let answer = app.get("/v1/me").bearer_auth(stranger).send().await.unwrap();
    assert_eq!(header(&answer, "www-authenticate"), "Bearer error=\"invalid_token\"");
    assert_eq!(problem(answer).await["status"], 401);

    for bad in ["Basic YWxpY2U6c2VjcmV0", "Bearer", "Bearer a b", "token"] {
        let answer = app.get("/v1/me").header(AUTHORIZATION, bad).send().await.unwrap();
        assert_eq!(problem(answer).await["status"], 401, "{bad}");
    }
}

#[actix_web::test]
async fn two_tokens_are_none() {
    let app = TestApp::start().await;
    let token = app.token(Role::Customer);
    let request = format!(
        "GET /v1/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    assert_eq!(raw::send(app.addr(), request.as_bytes()).await.status(), 401);
}

#[actix_web::test]
async fn a_public_route_knows_its_caller_and_still_refuses_a_bad_token() {
    let app = TestApp::start().await;
    let subject = UserId::new();
    assert_eq!(app.get("/v1/greeting").send().await.unwrap().text().await.unwrap(), "stranger");
    let token = app.issuer.token(subject, Role::Customer);
    let answer = app.get("/v1/greeting").bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), subject.to_string());

    let mut claims = app.issuer.claims(subject, [Role::Customer]);
    claims.exp -= 7200;
    let expired = app.issuer.sign(&claims);
    let answer = app.get("/v1/greeting").bearer_auth(expired).send().await.unwrap();
    assert!(header(&answer, "www-authenticate").contains("expired"));
    assert_eq!(problem(answer).await["status"], 401);
}

#[actix_web::test]
async fn while_identity_is_away_tokens_get_503_and_public_routes_work() {
    let issuer = TestIssuer::new();
    let app = TestApp::start_with(|spec| spec.verifier = lonely_verifier(&issuer)).await;
    let token = issuer.token(UserId::new(), Role::Customer);
    let answer = app.get("/v1/me").bearer_auth(token).send().await.unwrap();
    assert_eq!(header(&answer, "retry-after"), "1");
    assert_eq!(problem(answer).await["status"], 503);
    assert_eq!(app.get("/v1/greeting").send().await.unwrap().status(), 200);
}
