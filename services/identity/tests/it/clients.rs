//! Programs with tokens of their own.

use std::os::unix::fs::PermissionsExt as _;

use viscount_chassis::{auth::Role, testing::run};
use viscount_identity::ClientSecret;

use crate::app::{Site, TestApp};

const ID: &str = "viscount-internal";

#[test]
fn the_platforms_own_services_get_tokens_with_the_secret_in_the_file() {
    run(async {
        let (site, app) = TestApp::start().await;
        let file = &site.config.client_secret_file;
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let secret = std::fs::read_to_string(file).unwrap();
        let tokens = app.client_token(ID, secret.trim()).await.expect(200);
        assert_eq!((tokens.text("token_type"), tokens.text("scope")), ("Bearer", "service"));
        assert!(tokens.body.get("refresh_token").is_none(), "RFC 6749 section 4.4.3");
        let principal = app.believed(tokens.text("access_token")).await.unwrap();
        assert!(principal.has(Role::Service) && !principal.is_admin());

        let form =
            [("grant_type", "client_credentials"), ("client_id", ID), ("client_secret", secret.trim())];
        let again = app.form("/oauth2/token", &form).await.expect(200);
        let same = app.believed(again.text("access_token")).await.unwrap();
        assert_eq!(same.subject, principal.subject, "the same program under the same name");
    });
}

#[test]
fn who_does_not_know_the_secret_is_refused() {
    run(async {
        let (site, app) = TestApp::start().await;
        let secret = std::fs::read_to_string(&site.config.client_secret_file).unwrap();
        let secret = secret.trim();
        for (id, given) in [(ID, "guess"), ("nobody", secret), (ID, ""), ("", secret), ("a\u{0}b", secret)] {
            let answer = app.client_token(id, given).await.oauth(401, "invalid_client");
            assert!(answer.header("www-authenticate").starts_with("Basic"));
        }
        let anonymous = [("grant_type", "client_credentials")];
        app.form("/oauth2/token", &anonymous).await.oauth(401, "invalid_client");
        let named = [("grant_type", "client_credentials"), ("client_id", ID)];
        app.form("/oauth2/token", &named).await.oauth(401, "invalid_client");
        let strange =
            [("grant_type", "client_credentials"), ("client_id", "a\u{0}b"), ("client_secret", "\u{0}")];
        app.form("/oauth2/token", &strange).await.oauth(401, "invalid_client");
    });
}

#[test]
fn another_secret_takes_over_at_the_next_start() {
    run(async {
        let mut site = Site::new().await;
        let app = site.start().await;
        let old = std::fs::read_to_string(&site.config.client_secret_file).unwrap();
        let before = app.client_token(ID, old.trim()).await.expect(200);
        let before = app.believed(before.text("access_token")).await.unwrap().subject;
        app.stop().await;

        let new = "n3w".repeat(12);
        site.config.client_secret = ClientSecret::parse(&new);
        let app = site.start().await;
        app.client_token(ID, old.trim()).await.oauth(401, "invalid_client");
        let after = app.client_token(ID, &new).await.expect(200);
        assert_eq!(app.believed(after.text("access_token")).await.unwrap().subject, before);
    });
}
