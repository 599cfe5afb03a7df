//! The public keys, and changing them while everything runs.

use serde_json::{Value, json};
use viscount_chassis::{
    auth::Role,
    service::ServiceError,
    store::DatabaseConfig,
    testing::{TestBed, eventually, run},
};

use crate::app::{ISSUER, Site, TestApp};

fn kids(jwks: &Value) -> Vec<&str> {
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect()
}

#[test]
fn the_current_and_the_next_key_are_public() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let jwks = app.jwks().await;
        assert_eq!(jwks.header("cache-control"), "public, max-age=60");
        assert_eq!(jwks.header("content-type"), "application/jwk-set+json");
        assert_eq!(kids(&jwks.body).len(), 2);
        for key in jwks.body["keys"].as_array().unwrap() {
            assert_eq!(
                (&key["kty"], &key["crv"], &key["alg"]),
                (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"))
            );
            assert!(key.get("d").is_none(), "the private half stays here");
        }
    });
}

#[test]
fn rotation_needs_no_restart_and_breaks_no_token() {
    run(async {
        let (site, app) = TestApp::start().await;
        let replica = site.start().await;
        let before = app.session("ada@example.com").await;
        let keys = app.jwks().await.body;
        let admin = app.signed(Role::Admin);

        let rotated = app.rotate(&admin, "").await.expect(200).body;
        assert_eq!(rotated["current"], kids(&keys)[1]);
        assert_eq!(rotated["withdrawn"][0]["kid"], kids(&keys)[0]);
        assert_eq!(kids(&app.jwks().await.body).len(), 3);

        app.me(before.text("access_token")).await.expect(200);
        let after = app.log_in("ada@example.com", crate::app::PASSWORD).await.expect(200);
        app.me(after.text("access_token")).await.expect(200);
        // The replica may not have noticed yet, and believes the new key all the same: it was published before.
        replica.me(after.text("access_token")).await.expect(200);
        let theirs = replica.log_in("ada@example.com", crate::app::PASSWORD).await.expect(200);
        app.me(theirs.text("access_token")).await.expect(200);
        app.rotate(&admin, "").await.expect(200);
    });
}

#[test]
fn compromised_keys_take_their_tokens_with_them() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let session = app.session("ada@example.com").await;
        let admin = app.signed(Role::Admin);
        app.rotate(&admin, "?compromised=true").await.expect(200);
        app.me(session.text("access_token")).await.expect(401);
        app.rotate(&admin, "").await.expect(401);
        // Sessions do not depend on keys.
        let renewed = app.refresh(session.text("refresh_token")).await.expect(200);
        app.me(renewed.text("access_token")).await.expect(200);
    });
}

#[test]
fn a_replica_takes_up_what_another_one_has_changed() {
    run(async {
        let (site, app) = TestApp::start().await;
        let replica = site.start().await;
        let session = app.session("ada@example.com").await;
        replica.me(session.text("access_token")).await.expect(200);
        app.rotate(&app.signed(Role::Admin), "?compromised=true").await.expect(200);
        let keys = app.jwks().await.body;
        eventually(|| async { (replica.jwks().await.body == keys).then_some(()) }).await;
        eventually(|| async { (replica.me(session.text("access_token")).await.status == 401).then_some(()) })
            .await;
        let renewed = replica.refresh(session.text("refresh_token")).await.expect(200);
        app.me(renewed.text("access_token")).await.expect(200);
    });
}

#[test]
fn old_keys_are_rotated_without_anybody_asking() {
    run(async {
        let mut site = Site::new().await;
        site.config.key_age = std::time::Duration::ZERO;
        let app = site.start().await;
        let session = app.session("ada@example.com").await;
        let before = app.jwks().await.body;
        eventually(|| async { (kids(&app.jwks().await.body)[0] != kids(&before)[0]).then_some(()) }).await;
        app.me(session.text("access_token")).await.expect(200);
        assert!(app.believed(session.text("access_token")).await.is_some());
    });
}

#[test]
fn only_administrators_rotate() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let keys = app.jwks().await.body;
        app.raw("/v1/ops/keys/rotate", "application/json", "").await.expect(401);
        app.rotate(&app.signed(Role::Customer), "").await.expect(403);
        app.rotate(&app.signed(Role::Service), "").await.expect(403);
        app.rotate(&app.signed(Role::Admin), "?compromized=true").await.expect(400);
        assert_eq!(app.jwks().await.body, keys);
    });
}

#[test]
fn keys_are_served_before_the_database_is_there() {
    run(async {
        let away = DatabaseConfig::new("postgres://nobody:nothing@127.0.0.1:1/none");
        let site = Site::with_database(TestBed::start().await, away);
        let app = site.begin().await;
        assert_eq!(kids(&app.jwks().await.body).len(), 2);
        app.get("/livez", None).await.expect(200);
        app.get("/readyz", None).await.expect(503);
        app.get("/.well-known/openid-configuration", None).await.expect(200);
        for answer in [
            app.register("ada@example.com").await,
            app.log_in("ada@example.com", "whatever it is").await,
            app.me(&app.signed(Role::Customer)).await,
            app.refresh("x").await,
        ] {
            assert!(!answer.expect(503).header("retry-after").is_empty());
        }
    });
}

#[test]
fn keys_that_cannot_be_read_are_an_error_at_the_start() {
    run(async {
        let site = Site::new().await;
        std::fs::create_dir_all(&site.config.keys_dir).unwrap();
        std::fs::write(site.config.keys_dir.join("ring.json"), "garbage").unwrap();
        let Err(error) = viscount_identity::start(site.config.clone(), site.bed.platform()).await else {
            panic!("started with a broken ring");
        };
        let line = error.to_string();
        assert!(matches!(error, ServiceError::Config(_)), "{line}");
        assert!(
            line.starts_with("IDENTITY_KEYS_DIR: ") && line.contains("ring.json") && !line.contains('\n'),
            "{line}"
        );
    });
}

#[test]
fn discovery_names_what_is_there() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let document = app.get("/.well-known/openid-configuration", None).await.expect(200);
        assert_eq!(document.text("issuer"), ISSUER);
        assert_eq!(document.text("token_endpoint"), format!("{ISSUER}/oauth2/token"));
        assert_eq!(document.text("jwks_uri"), format!("{ISSUER}/.well-known/jwks.json"));
        assert_eq!(document.header("cache-control"), "public, max-age=3600");

        let mut site = Site::new().await;
        site.config.issuer = "first-viscount".into();
        let app = site.start().await;
        let document = app.get("/.well-known/openid-configuration", None).await.expect(200);
        assert_eq!(document.text("jwks_uri"), format!("{}/.well-known/jwks.json", app.base));
        assert_eq!(document.header("cache-control"), "no-store");
    });
}
