//! Registering, and looking at oneself.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use viscount_chassis::{auth::Role, testing::run};
use viscount_contracts::events::identity::v1::UserRegistered;

use crate::app::{PASSWORD, TestApp};

#[test]
fn who_registers_can_log_in_and_see_themselves() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let answer = app
            .post(
                "/v1/users",
                &json!({ "email": "Ada@Example.com", "password": PASSWORD, "name": " Ada Lovelace " }),
            )
            .await
            .expect(201);
        let id = answer.text("id").to_owned();
        let ada =
            json!({ "id": id, "email": "Ada@Example.com", "name": "Ada Lovelace", "roles": ["customer"] });
        assert_eq!(answer.body, ada);
        assert!(answer.header("x-request-id").len() > 8);

        let tokens = app.log_in("ada@EXAMPLE.com", PASSWORD).await.expect(200);
        let members: HashSet<_> = tokens.body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, HashSet::from(["access_token", "token_type", "expires_in", "refresh_token"]));
        assert_eq!((tokens.text("token_type"), &tokens.body["expires_in"]), ("Bearer", &json!(900)));
        assert_eq!(tokens.header("cache-control"), "no-store");

        let principal = app.believed(tokens.text("access_token")).await.expect("a token that others believe");
        assert_eq!(principal.subject.to_string(), id);
        assert!(principal.has(Role::Customer) && !principal.is_admin() && principal.token_id.is_some());
        assert_eq!(app.me(tokens.text("access_token")).await.expect(200).body, ada);
    });
}

#[test]
fn the_others_hear_of_a_user_but_nothing_personal() {
    run(async {
        let (site, app) = TestApp::start().await;
        let id = app.register("ada@example.com").await.expect(201).text("id").to_owned();
        // The first event is the administrator's.
        let events = site.events(2).await;
        let event = events[1].decode::<UserRegistered>().unwrap();
        assert_eq!(
            (event.user_id.as_str(), event.roles.as_slice()),
            (id.as_str(), &["customer".to_owned()][..])
        );
        assert_eq!((events[1].key.to_string(), events[1].version), (id, 1));
        assert_eq!(events[0].decode::<UserRegistered>().unwrap().roles, ["admin"]);
        for event in events {
            let text = String::from_utf8_lossy(&event.data).into_owned();
            assert!(
                !text.contains("example") && !text.contains("Ada") && !text.contains("localhost"),
                "{text}"
            );
        }
    });
}

#[test]
fn an_address_has_one_account_in_any_case() {
    run(async {
        let (_site, app) = TestApp::start().await;
        app.register("ada@example.com").await.expect(201);
        app.register("ada@example.com").await.problem(409, "email-taken");
        app.register("ADA@example.COM").await.problem(409, "email-taken");
        app.register("admin@localhost").await.problem(409, "email-taken");
        app.register("ada@example.org").await.expect(201);
    });
}

#[test]
fn a_hundred_registrations_at_once_make_one_account() {
    run(async {
        let (site, app) = TestApp::start().await;
        let spellings = ["eve@example.com", "Eve@example.com", "EVE@EXAMPLE.COM", "eve@Example.Com"];
        let answers = join_all((0..100).map(|n| app.register(spellings[n % spellings.len()]))).await;
        let count = |status: u16| answers.iter().filter(|answer| answer.status.as_u16() == status).count();
        assert_eq!(
            (count(201), count(409)),
            (1, 99),
            "{:?}",
            answers.iter().map(|a| a.status).collect::<HashSet<_>>()
        );
        assert_eq!(site.head().await, 2, "the administrator's event and this one");
    });
}

#[test]
fn a_taken_address_does_not_hold_up_its_neighbours() {
    run(async {
        let (site, app) = TestApp::start().await;
        let email = |n: usize| {
            if n.is_multiple_of(3) { "same@example.com".to_owned() } else { format!("user{n}@example.com") }
        };
        let answers = join_all((0..30).map(|n| {
            let (app, email) = (&app, email(n));
            async move { app.register(&email).await }
        }))
        .await;
        for (n, answer) in answers.iter().enumerate().filter(|(n, _)| !n.is_multiple_of(3)) {
            assert_eq!(answer.status, 201, "{n}: {:?}", answer.body);
        }
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!((made, site.head().await), (21, 22));
    });
}

#[test]
fn everything_wrong_with_an_account_is_told_at_once() {
    run(async {
        let (site, app) = TestApp::start().await;
        let head = site.head().await;
        let answer =
            app.post("/v1/users", &json!({ "email": "nobody", "password": "short", "name": " " })).await;
        let pointers: Vec<_> = answer.problem(422, "unprocessable").body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["pointer"].clone())
            .collect();
        assert_eq!(pointers, ["/email", "/password", "/name"]);

        let account = |change: &dyn Fn(&mut Value)| {
            let mut account = json!({ "email": "ada@example.com", "password": PASSWORD, "name": "Ada" });
            change(&mut account);
            account
        };
        let cases: [(&str, Value); 10] = [
            ("/email", account(&|a| a["email"] = "a@b@c".into())),
            ("/email", account(&|a| a["email"] = format!("{}@example.com", "a".repeat(300)).into())),
            ("/email", account(&|a| a["email"] = "ada\u{0}@example.com".into())),
            ("/password", account(&|a| a["password"] = "x".repeat(129).into())),
            ("/password", account(&|a| a["password"] = "🔑".repeat(7).into())),
            ("/name", account(&|a| a["name"] = "x".repeat(101).into())),
            ("/name", account(&|a| a["name"] = "a\nb".into())),
            ("/name", account(&|a| a["name"] = Value::Null)),
            ("/roles", account(&|a| a["roles"] = json!(["admin"]))),
            ("/password", account(&|a| drop(a.as_object_mut().unwrap().remove("password")))),
        ];
        for (pointer, account) in cases {
            let answer = app.post("/v1/users", &account).await.expect(422);
            assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{account}: {:?}", answer.body);
        }
        assert_eq!(site.head().await, head, "nothing was written");
    });
}

#[test]
fn long_and_foreign_is_fine() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let password = "🔑".repeat(128);
        let account =
            json!({ "email": "jürgen@müller.example", "password": password, "name": "é".repeat(100) });
        app.post("/v1/users", &account).await.expect(201);
        let tokens = app.log_in("JÜRGEN@müller.example", &password).await.expect(200);
        assert_eq!(app.me(tokens.text("access_token")).await.expect(200).text("name"), "é".repeat(100));
    });
}

#[test]
fn oneself_is_for_users_with_a_token() {
    run(async {
        let (_site, app) = TestApp::start().await;
        let answer = app.get("/v1/users/me", None).await.problem(401, "unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        app.me("garbage").await.expect(401);
        app.me(&app.signed(Role::Service)).await.problem(404, "not-found");
    });
}
