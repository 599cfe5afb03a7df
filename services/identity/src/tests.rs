//! What cannot be seen from outside: how much work is done, and what happens as time goes by. On a real PostgreSQL,
//! with the time handed in.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config as Cases, TestRunner};
use sqlx::PgPool;
use viscount_actors::{Intensity, Supervisor};
use viscount_chassis::{
    auth::Role,
    store::{Committer, CommitterSpec, Database, EventStore},
    testing::{TestBed, run},
};
use viscount_contracts::{Topic, UserId};

use crate::{
    KeyRing, MIGRATIONS,
    domain::{DisplayName, EmailAddress, Lifetimes, Password, RefreshToken},
    error::IdentityError,
    identity::{Identity, Registration},
    passwords::{Passwords, PasswordsSpec},
    store::{Clients, Renewal, Sessions, UserWriter, Users},
    tokens::Tokens,
};

const DAY: i64 = 86_400;
const LIFETIMES: Lifetimes =
    Lifetimes { idle: Duration::from_secs(30 * DAY as u64), session: Duration::from_secs(90 * DAY as u64) };

/// The service without its door.
struct Inside {
    identity: Identity,
    pool: PgPool,
    _tree: Supervisor,
    _keys: tempfile::TempDir,
}

async fn inside() -> Inside {
    let bed = TestBed::start().await;
    let pool = Database::lazy(&bed.database(&MIGRATIONS, "identity").await).unwrap().pool().clone();
    let store = EventStore::new(Topic::Identity, pool.clone());
    let publisher = bed.platform().log.publisher(store.clone());
    let tree = Supervisor::root("identity", Intensity::default(), |_| {});
    let spec = CommitterSpec::default();
    let committer = Committer::start(&tree, store, pool.clone(), publisher, UserWriter::new(), spec);
    let keys = tempfile::tempdir().unwrap();
    let ring = KeyRing::open_or_create(keys.path()).unwrap();
    let life = Duration::from_secs(900);
    let identity = Identity {
        users: Users::new(pool.clone()),
        sessions: Sessions::new(pool.clone(), LIFETIMES),
        clients: Clients::new(pool.clone()),
        committer,
        passwords: Passwords::new(PasswordsSpec {
            threads: 2,
            waiting: 100,
            patience: Duration::from_secs(60),
        }),
        tokens: Tokens::new(ring, "https://shop.test".into(), "shop".into(), life),
        reserved: EmailAddress::parse("admin@localhost").unwrap(),
    };
    Inside { identity, pool, _tree: tree, _keys: keys }
}

impl Inside {
    async fn register(&self, email: &str) -> UserId {
        let registration = Registration {
            email: EmailAddress::parse(email).unwrap(),
            name: DisplayName::parse("Ada").unwrap(),
            password: Password::choose("correct horse".into()).unwrap(),
        };
        self.identity.register(registration).await.unwrap().id
    }

    /// A user without the cost of a real password.
    async fn user(&self) -> UserId {
        let id = UserId::new();
        sqlx::query("insert into users values ($1, $2, $2, 'Ada', 'none', '{customer}', now())")
            .bind(id.uuid())
            .bind(format!("{id}@example.com"))
            .execute(&self.pool)
            .await
            .unwrap();
        id
    }
}

fn fresh() -> RefreshToken {
    RefreshToken::first(rand::random())
}

fn day(days: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(days * DAY)
}

#[test]
fn every_login_costs_one_check_whoever_it_is() {
    run(async {
        let inside = inside().await;
        inside.register("ada@example.com").await;
        let long = "x".repeat(100_000);
        for (email, password, right) in [
            ("ada@example.com", "correct horse", true),
            ("ada@example.com", "wrong horse", false),
            ("ada@example.com", "", false),
            ("ada@example.com", &long, false),
            ("eve@example.com", "correct horse", false),
            ("no address", "correct horse", false),
            (&long, &long, false),
        ] {
            let before = inside.identity.passwords.checks();
            let answer = inside.identity.log_in(email, Password::attempt(password.into())).await;
            assert_eq!(answer.is_ok(), right);
            assert!(right || matches!(answer, Err(IdentityError::WrongCredentials)));
            assert_eq!(inside.identity.passwords.checks(), before + 1, "{email:.20}");
        }
    });
}

#[test]
fn a_token_that_lay_too_long_is_refused_and_ends_nothing() {
    run(async {
        let inside = inside().await;
        let sessions = &inside.identity.sessions;
        let user = inside.user().await;
        let first = fresh();
        sessions.open(user, &first, day(0)).await.unwrap();
        let second = first.renewed(rand::random());
        assert_eq!(sessions.renew(&first, &second, day(30)).await.unwrap(), Renewal::Refused);
        assert!(matches!(sessions.renew(&first, &second, day(29)).await.unwrap(), Renewal::Renewed(_)));
        // Renewed for another thirty days from then.
        let third = second.renewed(rand::random());
        assert!(matches!(sessions.renew(&second, &third, day(58)).await.unwrap(), Renewal::Renewed(_)));
    });
}

#[test]
fn a_session_ends_after_its_time_however_often_it_is_renewed() {
    run(async {
        let inside = inside().await;
        let sessions = &inside.identity.sessions;
        let mut token = fresh();
        sessions.open(inside.user().await, &token, day(0)).await.unwrap();
        for days in [20, 40, 60, 80, 89] {
            let next = token.renewed(rand::random());
            assert!(
                matches!(sessions.renew(&token, &next, day(days)).await.unwrap(), Renewal::Renewed(_)),
                "{days}"
            );
            token = next;
        }
        assert_eq!(
            sessions.renew(&token, &token.renewed(rand::random()), day(90)).await.unwrap(),
            Renewal::Refused
        );
    });
}

#[test]
fn a_renewal_gives_the_roles_of_today() {
    run(async {
        let inside = inside().await;
        let (user, token) = (inside.user().await, fresh());
        inside.identity.sessions.open(user, &token, Timestamp::now()).await.unwrap();
        sqlx::query("update users set roles = '{admin}'").execute(&inside.pool).await.unwrap();
        let (_, roles) = inside.identity.renew(&token).await.unwrap();
        assert_eq!(roles, Role::Admin.into());
    });
}

#[test]
fn the_sweep_takes_what_has_ended_and_nothing_else() {
    run(async {
        let inside = inside().await;
        let sessions = &inside.identity.sessions;
        let user = inside.user().await;
        let (old, revoked, young) = (fresh(), fresh(), fresh());
        sessions.open(user, &old, day(0)).await.unwrap();
        sessions.open(user, &revoked, day(20)).await.unwrap();
        sessions.open(user, &young, day(20)).await.unwrap();
        assert!(sessions.end(&revoked, day(21)).await.unwrap());
        assert!(!sessions.end(&revoked, day(22)).await.unwrap(), "once");
        assert_eq!(sessions.sweep(day(31)).await.unwrap(), 1);
        assert_eq!(sessions.sweep(day(31)).await.unwrap(), 0);
        assert_eq!(sessions.renew(&revoked, &fresh(), day(31)).await.unwrap(), Renewal::Refused);
        assert!(matches!(
            sessions.renew(&young, &young.renewed([1; 32]), day(31)).await.unwrap(),
            Renewal::Renewed(_)
        ));
    });
}

#[test]
fn nothing_secret_is_stored() {
    run(async {
        let inside = inside().await;
        inside.register("ada@example.com").await;
        let admission =
            inside.identity.log_in("ada@example.com", Password::attempt("correct horse".into())).await;
        let refresh = admission.unwrap().refresh.reveal();
        let rows: Vec<String> = sqlx::query_scalar(
            "select row_to_json(s)::text from sessions s union all select row_to_json(u)::text from users u",
        )
        .fetch_all(&inside.pool)
        .await
        .unwrap();
        let text = rows.join(" ");
        assert_eq!(rows.len(), 2);
        assert!(!text.contains("correct horse") && !text.contains(&refresh) && text.contains("$argon2id$"));
    });
}

/// One thing that happens to a session.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// The token that was handed out so many renewals ago is shown.
    Show { back: usize },
    /// The session is ended with such a token.
    End { back: usize },
    /// Time goes by.
    Wait { days: i64 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => Just(Act::Show { back: 0 }),
        1 => (1..4usize).prop_map(|back| Act::Show { back }),
        1 => (0..3usize).prop_map(|back| Act::End { back }),
        3 => (1..20i64).prop_map(|days| Act::Wait { days }),
    ];
    prop::collection::vec(act, 1..25)
}

/// What a session should do, in a few lines.
struct Model {
    now: i64,
    expires: i64,
    open: bool,
}

impl Model {
    fn alive(&self) -> bool {
        self.open && self.now < self.expires
    }

    /// True when the token is replaced.
    fn show(&mut self, back: usize) -> bool {
        if !self.alive() {
            return false;
        }
        if back > 0 {
            self.open = false;
            return false;
        }
        self.expires = (self.now + 30).min(90);
        true
    }
}

#[test]
fn any_history_of_a_session_is_as_the_model_says() {
    run(async {
        let inside = inside().await;
        let user = inside.user().await;
        let mut runner = TestRunner::new(Cases::with_cases(60));
        // The runner wants a function; the histories are drawn first and played afterwards.
        for _ in 0..60 {
            let acts = acts().new_tree(&mut runner).unwrap().current();
            play(&inside.identity.sessions, user, &acts).await;
        }
    });
}

async fn play(sessions: &Sessions, user: UserId, acts: &[Act]) {
    let mut tokens = vec![fresh()];
    let mut model = Model { now: 0, expires: 30, open: true };
    sessions.open(user, &tokens[0], day(0)).await.unwrap();
    for act in acts {
        let pick = |back: usize| (back < tokens.len()).then(|| tokens[tokens.len() - 1 - back].clone());
        match *act {
            Act::Wait { days } => model.now += days,
            Act::Show { back } => {
                let Some(shown) = pick(back) else { continue };
                let next = shown.renewed(rand::random());
                let was_alive = model.alive();
                let renewal = sessions.renew(&shown, &next, day(model.now)).await.unwrap();
                let renewed = model.show(back);
                assert_eq!(matches!(renewal, Renewal::Renewed(_)), renewed, "{acts:?}");
                assert_eq!(renewal == Renewal::Reused { user }, was_alive && !renewed, "{acts:?}");
                if renewed {
                    tokens.push(next);
                }
            }
            Act::End { back } => {
                let Some(shown) = pick(back) else { continue };
                assert_eq!(sessions.end(&shown, day(model.now)).await.unwrap(), model.alive(), "{acts:?}");
                model.open = false;
            }
        }
    }
}
