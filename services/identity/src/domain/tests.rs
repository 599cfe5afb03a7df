#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use prost::Message as _;
use viscount_chassis::auth::{Role, Roles};
use viscount_contracts::UserId;

use super::*;

#[test]
fn ordinary_addresses_are_addresses() {
    for text in [
        "ada@example.com",
        "Ada.Lovelace+shop@Mail.Example.co.uk",
        "admin@localhost",
        "x@y",
        "o'brien@example.ie",
        "jürgen@müller.example",
        "1@2.3",
        "a_b-c@xn--mller-kva.example",
    ] {
        assert!(EmailAddress::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn what_mail_cannot_be_sent_to_is_refused() {
    let long_local = format!("{}@example.com", "a".repeat(65));
    let long_label = format!("a@{}.com", "b".repeat(64));
    for text in [
        "",
        "@",
        "ada",
        "ada@",
        "@example.com",
        "ada@@example.com",
        "ada@exa mple.com",
        " ada@example.com",
        "ada@example.com ",
        "ada@example.com\n",
        "ada\0@example.com",
        ".ada@example.com",
        "ada.@example.com",
        "a..b@example.com",
        "ada@example..com",
        "ada@-example.com",
        "ada@example-.com",
        "ada@example.com.",
        "\"ada\"@example.com",
        "ada@[127.0.0.1]",
        "ada,eve@example.com",
        "ada<eve@example.com>",
        &long_local,
        &long_label,
    ] {
        assert_eq!(EmailAddress::parse(text), Err(EmailError::Malformed), "{text:?}");
    }
    let long = format!("a@{}", vec!["b".repeat(60); 5].join("."));
    assert_eq!(EmailAddress::parse(&long), Err(EmailError::TooLong));
}

#[test]
fn an_address_is_the_same_in_any_case() {
    let (small, large) =
        (EmailAddress::parse("ada@example.com").unwrap(), EmailAddress::parse("ADA@Example.COM").unwrap());
    assert_eq!(small.key(), large.key());
    assert_eq!(large.as_written(), "ADA@Example.COM");
}

#[test]
fn passwords_are_counted_in_characters() {
    let choose = |text: String| Password::choose(text).map(|_| ());
    assert_eq!(choose("1234567".into()), Err(PasswordError::TooShort));
    assert_eq!(choose("pässwör".into()), Err(PasswordError::TooShort));
    assert_eq!(choose("pässwört".into()), Ok(()));
    assert_eq!(choose("🔑".repeat(128)), Ok(()));
    assert_eq!(choose("🔑".repeat(129)), Err(PasswordError::TooLong));
    assert_eq!(choose("x".repeat(128)), Ok(()));
    assert_eq!(choose("x".repeat(129)), Err(PasswordError::TooLong));
    assert_eq!(choose("x".repeat(1 << 20)), Err(PasswordError::TooLong));
}

#[test]
fn a_long_attempt_costs_no_more_than_a_long_password_and_never_passes_for_one() {
    let chosen = Password::choose("🔑".repeat(128)).unwrap();
    let attempt = Password::attempt("🔑".repeat(50_000));
    assert_eq!(attempt.as_bytes().len(), chosen.as_bytes().len() + 1);
}

#[test]
fn names_are_trimmed_and_bounded() {
    assert_eq!(DisplayName::parse("  Ada Lovelace ").unwrap().as_str(), "Ada Lovelace");
    assert_eq!(DisplayName::parse(" \t "), Err(NameError::Empty));
    assert_eq!(DisplayName::parse("Ada\nLovelace"), Err(NameError::Control));
    assert!(DisplayName::parse(&"é".repeat(100)).is_ok());
    assert_eq!(DisplayName::parse(&"é".repeat(101)), Err(NameError::TooLong));
}

fn ada() -> NewUser {
    NewUser::customer(
        UserId::new(),
        EmailAddress::parse("ada@example.com").unwrap(),
        DisplayName::parse("Ada Lovelace").unwrap(),
        PasswordHash::from_phc("$argon2id$secret".into()),
        Timestamp::UNIX_EPOCH,
    )
}

#[test]
fn whoever_registers_is_a_customer_and_nothing_else() {
    let user = ada();
    assert_eq!(user.roles, Roles::from(Role::Customer));
    assert_eq!(user.registered().roles, ["customer"]);
}

#[test]
fn the_event_holds_no_personal_data() {
    let bytes = ada().registered().encode_to_vec();
    let text = String::from_utf8_lossy(&bytes);
    for secret in ["ada", "Ada", "Lovelace", "example", "argon2"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn debug_shows_neither_secrets_nor_people() {
    let token = RefreshToken::first([7; 48]);
    let texts = [
        format!("{:?}", ada()),
        format!("{:?}", Password::attempt("hunter22".into())),
        format!("{token:?} {:?} {:?}", token.session(), token.hash()),
    ];
    for text in texts {
        for secret in ["ada", "Lovelace", "hunter22", "argon2", "07070707", "Bwc"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_session_ends_however_often_it_is_renewed() {
    let day = Duration::from_secs(86_400);
    let lifetimes = Lifetimes { idle: 30 * day, session: 90 * day };
    let start = Timestamp::UNIX_EPOCH;
    let after = |days: i64| Timestamp::from_second(days * 86_400).unwrap();
    let ends_at = lifetimes.ends_at(start);
    assert_eq!(ends_at, after(90));
    assert_eq!(lifetimes.expires_at(start, ends_at), after(30));
    assert_eq!(lifetimes.expires_at(after(20), ends_at), after(50));
    assert_eq!(lifetimes.expires_at(after(70), ends_at), after(90));
    let endless = Lifetimes { idle: Duration::MAX, session: Duration::MAX };
    assert_eq!(endless.ends_at(start), Timestamp::MAX);
}

#[test]
fn roles_survive_the_database() {
    let roles = Roles::from(Role::Admin).with(Role::Customer);
    assert_eq!(Roles::of_names(&roles.names()), roles);
    assert_eq!(Roles::of_names(&["wizard".into(), "admin".into()]), Roles::from(Role::Admin));
}

proptest! {
    #[test]
    fn a_token_reads_back_as_itself(first in any::<[u8; 32]>(), name in any::<[u8; 16]>(), second in any::<[u8; 32]>()) {
        let mut random = [0; 48];
        random[..16].copy_from_slice(&name);
        random[16..].copy_from_slice(&first);
        let token = RefreshToken::first(random);
        prop_assert_eq!(RefreshToken::parse(&token.reveal()), Ok(token.clone()));
        let renewed = token.renewed(second);
        prop_assert_eq!(renewed.session(), token.session());
        prop_assert_eq!(renewed.hash() == token.hash(), first == second);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in any::<String>()) {
        let _ = (RefreshToken::parse(&text), EmailAddress::parse(&text), DisplayName::parse(&text));
        if let Ok(address) = EmailAddress::parse(&text) {
            prop_assert!(address.as_written() == text && !text.contains(char::is_whitespace));
        }
    }

    #[test]
    fn upper_and_lower_case_share_a_key(text in "[a-z0-9]{1,20}@[a-z0-9]{1,20}\\.[a-z]{2,5}") {
        let address = EmailAddress::parse(&text).unwrap();
        let shouted = EmailAddress::parse(&text.to_uppercase()).unwrap();
        prop_assert_eq!(address.key(), shouted.key());
    }
}
