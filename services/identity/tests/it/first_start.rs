//! What the first start of all makes, and that it does so once.

use std::sync::Arc;

use futures_util::future::join_all;
use viscount_chassis::testing::run;
use viscount_identity::FirstAdmin;

use crate::app::{PASSWORD, Site, TestApp};

fn told(site: &Site) -> Vec<FirstAdmin> {
    site.told.lock().unwrap().clone()
}

async fn assert_admin(app: &TestApp, admin: &FirstAdmin) {
    let tokens = app.log_in(&admin.email, &admin.password).await.expect(200);
    assert!(app.believed(tokens.text("access_token")).await.unwrap().is_admin());
    assert_eq!(
        app.me(tokens.text("access_token")).await.expect(200).body["roles"],
        serde_json::json!(["admin"])
    );
}

#[test]
fn the_first_start_tells_a_password_that_works_and_later_ones_tell_nothing() {
    run(async {
        let (site, app) = TestApp::start().await;
        let admin = told(&site)[0].clone();
        assert_eq!(admin.email, "admin@localhost");
        assert!(admin.password.len() >= 24);
        assert_admin(&app, &admin).await;
        app.stop().await;

        let app = site.start().await;
        assert_eq!(told(&site).len(), 1);
        assert_admin(&app, &admin).await;
    });
}

#[test]
fn replicas_that_start_at_once_make_one_administrator() {
    run(async {
        let site = Site::new().await;
        let apps = join_all((0..4).map(|_| site.begin())).await;
        for app in &apps {
            app.ready().await;
        }
        assert_eq!(told(&site).len(), 1);
        assert_eq!(site.head().await, 1);
        for app in &apps {
            assert_admin(app, &told(&site)[0]).await;
        }
    });
}

#[test]
fn a_password_that_nobody_heard_is_replaced_at_the_next_start() {
    run(async {
        let mut site = Site::new().await;
        let hear = site.config.on_first_admin.take();
        let app = site.start().await;
        app.stop().await;
        site.config.on_first_admin = hear;
        let app = site.start().await;
        assert_eq!(told(&site).len(), 1);
        assert_admin(&app, &told(&site)[0]).await;
        assert_eq!(site.head().await, 1, "the same administrator");
    });
}

#[test]
fn a_configured_password_is_taken_and_told_to_nobody() {
    run(async {
        let mut site = Site::new().await;
        site.config.admin_password = viscount_identity::domain::Password::choose(PASSWORD.into()).ok();
        let app = site.start().await;
        assert_eq!(told(&site), []);
        assert_admin(&app, &FirstAdmin { email: "Admin@Localhost".into(), password: PASSWORD.into() }).await;
        app.stop().await;
        site.config.admin_password = None;
        let heard = site.told.clone();
        site.config.on_first_admin = Some(Arc::new(move |admin| heard.lock().unwrap().push(admin)));
        site.start().await;
        assert_eq!(told(&site), []);
    });
}
