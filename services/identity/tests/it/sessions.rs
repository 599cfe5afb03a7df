//! Renewing, sharing and ending sessions.

use futures_util::future::join_all;
use viscount_chassis::testing::run;

use crate::app::TestApp;

#[test]
fn a_refresh_token_renews_once_and_brings_the_next() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let session = app.session("ada@example.com").await;
        let mut token = session.text("refresh_token").to_owned();
        for _ in 0..5 {
            let renewed = app.refresh(&token).await.expect(200);
            assert_eq!(renewed.header("cache-control"), "no-store");
            assert_eq!(renewed.text("scope"), "customer");
            assert_ne!(renewed.text("refresh_token"), token);
            let principal = app.believed(renewed.text("access_token")).await.unwrap();
            assert_eq!(
                app.me(renewed.text("access_token")).await.expect(200).text("id"),
                principal.subject.to_string()
            );
            token = renewed.text("refresh_token").to_owned();
        }
    });
}

#[test]
fn an_old_token_shown_again_ends_the_session_for_everybody() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let session = app.session("ada@example.com").await;
        let stolen = session.text("refresh_token");
        let other = app.log_in("ada@example.com", crate::app::PASSWORD).await.expect(200);
        let newest = app.refresh(stolen).await.expect(200);
        let newest = app.refresh(newest.text("refresh_token")).await.expect(200);

        app.refresh(stolen).await.oauth(400, "invalid_grant");
        app.refresh(newest.text("refresh_token")).await.oauth(400, "invalid_grant");
        app.refresh(stolen).await.oauth(400, "invalid_grant");
        // Another login of the same user is another session.
        app.refresh(other.text("refresh_token")).await.expect(200);
    });
}

#[test]
fn of_many_who_show_one_token_at_once_one_wins_and_the_session_ends() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let session = app.session("ada@example.com").await;
        let answers = join_all((0..20).map(|_| app.refresh(session.text("refresh_token")))).await;
        let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(winners.len(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            answer.clone().oauth(400, "invalid_grant");
        }
        app.refresh(winners[0].text("refresh_token")).await.oauth(400, "invalid_grant");
    });
}

#[test]
fn leaving_ends_the_session_and_may_be_repeated() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let session = app.session("ada@example.com").await;
        let other = app.log_in("ada@example.com", crate::app::PASSWORD).await.expect(200);
        let renewed = app.refresh(session.text("refresh_token")).await.expect(200);
        // The newest token or an older one: both name the session.
        app.revoke(session.text("refresh_token")).await.expect(200);
        app.refresh(renewed.text("refresh_token")).await.oauth(400, "invalid_grant");
        app.revoke(renewed.text("refresh_token")).await.expect(200);
        app.revoke("never-was-one").await.expect(200);
        app.refresh(other.text("refresh_token")).await.expect(200);
    });
}

#[test]
fn what_cannot_be_revoked_is_said() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let session = app.session("ada@example.com").await;
        app.revoke(session.text("access_token")).await.oauth(400, "unsupported_token_type");
        app.form("/oauth2/revoke", &[]).await.oauth(400, "invalid_request");
        let hinted = [("token", session.text("refresh_token")), ("token_type_hint", "refresh_token")];
        app.form("/oauth2/revoke", &hinted).await.expect(200);
        app.refresh(session.text("refresh_token")).await.oauth(400, "invalid_grant");
        let impostor = [("token", "x"), ("client_id", "viscount-internal"), ("client_secret", "guess")];
        app.form("/oauth2/revoke", &impostor).await.oauth(401, "invalid_client");
    });
}

#[test]
fn a_stale_bearer_token_beside_a_good_refresh_token_does_no_harm() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let session = app.session("ada@example.com").await;
        let form = [("grant_type", "refresh_token"), ("refresh_token", session.text("refresh_token"))];
        let request = app.client.post(format!("{}/oauth2/token", app.base)).bearer_auth("stale").form(&form);
        crate::app::Answer::of(request).await.expect(200);
    });
}
