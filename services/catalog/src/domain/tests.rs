//! Given / when / then, and what holds whatever comes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use viscount_contracts::{Currency, Money, ProductId};

use super::{search::terms, *};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn price(pence: i64) -> Price {
    Price::new(Money::new(pence, Currency::GBP), Currency::GBP).unwrap()
}

fn boots() -> Details {
    Details {
        sku: Sku::new("BOOT-1").unwrap(),
        name: Name::new("Wanderer Black Hiking Boots").unwrap(),
        description: Some(Description::new("Waterproof leather.\nDurable sole.").unwrap()),
        category: Some(Label::new("Footwear").unwrap()),
        brand: Some(Label::new("Daybird").unwrap()),
        price: price(10_999),
        attributes: Attributes::default(),
    }
}

fn renamed(name: &str) -> Details {
    Details { name: Name::new(name).unwrap(), ..boots() }
}

fn created() -> Product {
    Product::new(ProductId::new(), boots(), NOW)
}

fn after(product: Product, events: &[Event]) -> Product {
    events.iter().fold(product, |product, event| evolve(product, event, NOW))
}

fn replace(expected: Expected, details: Details) -> Command {
    Command::Replace { expected, details: Box::new(details) }
}

#[test]
fn another_name_is_an_update() {
    let events = decide(&created(), replace(Expected::Revision(1), renamed("Boots"))).unwrap();
    assert_eq!(events, [Event::Updated(Box::new(renamed("Boots")))]);
}

#[test]
fn another_price_alone_is_a_price_change() {
    let cheaper = Details { price: price(9_999), ..boots() };
    let events = decide(&created(), replace(Expected::Revision(1), cheaper)).unwrap();
    assert_eq!(events, [Event::PriceChanged { old: price(10_999), new: price(9_999) }]);
}

#[test]
fn another_name_and_price_are_both() {
    let wanted = Details { price: price(1), ..renamed("Boots") };
    let events = decide(&created(), replace(Expected::Any, wanted.clone())).unwrap();
    assert_eq!(events.len(), 2);
    let product = after(created(), &events);
    assert_eq!((product.details, product.version, product.revision), (wanted, 3, 3));
}

#[test]
fn nothing_new_is_no_event() {
    assert_eq!(decide(&created(), replace(Expected::Revision(1), boots())), Ok(vec![]));
}

#[test]
fn who_has_not_seen_the_newest_revision_is_refused() {
    let product = after(created(), &[Event::Updated(Box::new(renamed("Boots")))]);
    let stale = Err(Rejection::Stale { current: 2 });
    assert_eq!(decide(&product, replace(Expected::Revision(1), boots())), stale);
    assert_eq!(decide(&product, Command::Archive { expected: Expected::Revision(1) }), stale);
    assert!(decide(&product, replace(Expected::Any, boots())).is_ok());
}

#[test]
fn selling_out_does_not_disturb_an_editor() {
    let product = after(created(), &[Event::SoldOut]);
    assert_eq!((product.version, product.revision), (2, 1));
    assert!(decide(&product, replace(Expected::Revision(1), renamed("Boots"))).is_ok());
}

#[test]
fn archiving_twice_archives_once() {
    let archive = || Command::Archive { expected: Expected::Any };
    assert_eq!(decide(&created(), archive()), Ok(vec![Event::Archived]));
    let product = after(created(), &[Event::Archived]);
    assert!(product.archived);
    assert_eq!(decide(&product, archive()), Ok(vec![]));
}

#[test]
fn what_is_archived_is_not_edited() {
    let product = after(created(), &[Event::Archived]);
    assert_eq!(decide(&product, replace(Expected::Any, renamed("Boots"))), Err(Rejection::Archived));
}

fn told(available: u32, version: i32) -> Evidence {
    Evidence { available, version }
}

#[test]
fn the_last_piece_of_a_product_on_sale_is_news_to_others() {
    let sold_out = News::Keep(Some(Event::SoldOut));
    assert_eq!(news(Some(&created()), Some(told(3, 1)), told(0, 2)), sold_out);
    assert_eq!(news(Some(&created()), Some(told(0, 1)), told(0, 2)), News::Keep(None));
    assert_eq!(news(Some(&created()), None, told(0, 2)), News::Keep(None));
    let archived = after(created(), &[Event::Archived]);
    assert_eq!(news(Some(&archived), Some(told(3, 1)), told(0, 2)), News::Keep(None));
}

#[test]
fn news_of_an_unknown_product_are_kept() {
    assert_eq!(news(None, None, told(5, 1)), News::Keep(None));
}

proptest! {
    /// However often and in whatever order inventory's events come, the newest decides.
    #[test]
    fn the_newest_news_win(mut order in Just((1..=6).collect::<Vec<i32>>()).prop_shuffle(), again in 0usize..6) {
        order.push(order[again]);
        let product = created();
        let mut known = None;
        for version in order {
            let told = told(u32::from(version % 2 == 0), version);
            if news(Some(&product), known, told) != News::Late {
                known = Some(told);
            }
        }
        prop_assert_eq!(known, Some(told(1, 6)));
    }

    /// Deciding what has just been decided changes nothing: a command is safe to repeat.
    #[test]
    fn a_command_done_twice_is_done_once(name in "[a-z]{1,9}", pence in 1i64..5, archive: bool) {
        let command = || if archive {
            Command::Archive { expected: Expected::Any }
        } else {
            replace(Expected::Any, Details { price: price(pence), ..renamed(&name) })
        };
        let product = created();
        let product = after(product.clone(), &decide(&product, command()).unwrap());
        prop_assert_eq!(decide(&product, command()), Ok(vec![]));
    }

    /// Versions count on without a gap, whatever happens.
    #[test]
    fn each_event_is_one_version(events in prop::collection::vec(0u8..4, 0..9)) {
        let events: Vec<Event> = events.iter().map(|kind| match kind {
            0 => Event::Updated(Box::new(renamed("x"))),
            1 => Event::PriceChanged { old: price(1), new: price(2) },
            2 => Event::SoldOut,
            _ => Event::Archived,
        }).collect();
        let product = after(created(), &events);
        prop_assert_eq!(product.version, 1 + i32::try_from(events.len()).unwrap());
        prop_assert!(product.revision <= product.version);
    }

    /// No text makes a value panic, and what is accepted is accepted again unchanged.
    #[test]
    fn values_take_any_text(text in any::<String>()) {
        if let Ok(name) = Name::new(&text) {
            prop_assert_eq!(Name::new(name.as_str()), Ok(name.clone()));
            prop_assert!(name.as_str().chars().count() <= Name::MAX);
            prop_assert!(!name.as_str().chars().any(char::is_control));
        }
        let _ = (Sku::new(&text), Description::new(&text));
    }

    /// One typo in a word of five letters or more: the word shares a telling piece, so it is looked at, and it is
    /// close enough to be taken.
    #[test]
    fn one_typo_leaves_enough_to_find_the_word(
        word in "[a-z]{5,14}", at in any::<prop::sample::Index>(), letter in "[a-z]", kind in 0u8..3,
    ) {
        let at = at.index(word.len());
        let (before, rest) = word.split_at(at);
        let typo = match kind {
            0 => format!("{before}{letter}{}", &rest[1..]),
            1 => format!("{before}{letter}{rest}"),
            _ => format!("{before}{}", &rest[1..]),
        };
        prop_assume!(typo != word);
        let term = terms(&typo).remove(0);
        let stored = search::trigrams(&word);
        prop_assert!(term.telling.iter().any(|piece| stored.contains(piece)), "{word} {typo}");
        prop_assert_eq!(term.meanings(std::slice::from_ref(&word)), [word.as_str()]);
    }

    /// Whatever is typed, there is nothing in a query's words that a tsquery would take for an operator.
    #[test]
    fn a_search_is_always_well_formed(text in any::<String>()) {
        let terms = terms(&text);
        prop_assert!(terms.iter().all(|term| !term.word.contains(['\'', '\\', '\0', ' '])));
        let learnt = search::learnt([text.as_str()]);
        prop_assert!(learnt.iter().all(|word| !word.contains(['\'', '\\', '\0', ' '])));
    }
}

#[test]
fn a_search_without_letters_has_no_terms() {
    assert_eq!(terms(" -- !? "), []);
}

#[test]
fn trigrams_are_those_of_pg_trgm() {
    assert_eq!(search::trigrams("word"), ["  w", " wo", "wor", "ord", "rd "]);
    assert_eq!(search::trigrams("żółć"), ["  ż", " żó", "żół", "ółć", "łć "]);
}

#[test]
fn a_misspelt_word_may_mean_the_closest_ones_only() {
    let words: Vec<String> = ["boots", "boats", "books", "wanderer", "booties"].map(String::from).into();
    let meant = |typed: &str| terms(typed).remove(0).meanings(&words).join(" ");
    assert_eq!(meant("bootss"), "boots");
    assert_eq!(meant("bots"), "boots boats");
    assert_eq!(meant("Wandrer"), "wanderer");
    assert_eq!(meant("wnaderer"), "wanderer");
    assert_eq!(meant("boots"), "", "a known word is not misspelt");
    assert_eq!(meant("xyzzy"), "");
}

#[test]
fn words_with_digits_are_not_learnt() {
    let learnt = search::learnt(["SKU-0001 T-shirt, crème brûlée XL2 a"]);
    assert_eq!(learnt.into_iter().collect::<Vec<_>>(), ["brûlée", "crème", "shirt", "sku"]);
}

#[test]
fn a_query_asks_for_all_words_or_for_what_each_may_mean() {
    let terms = terms("wandrer boots");
    assert_eq!(search::all_words(&terms), "'wandrer' & 'boots'");
    assert_eq!(
        search::any_meaning(&terms[0], &["wanderer", "wander"]),
        "('wandrer':* | 'wanderer' | 'wander')"
    );
    assert_eq!(search::any_meaning(&terms[1], &[]), "('boots':*)");
}

#[test]
fn values_know_their_bounds() {
    assert!(Sku::new(&"x".repeat(64)).is_ok());
    assert_eq!(Sku::new(&"x".repeat(65)), Err(ValueError::TooLong { max: 64 }));
    assert!(Name::new(&"ж".repeat(200)).is_ok(), "characters, not bytes");
    assert_eq!(Name::new(&"ж".repeat(201)), Err(ValueError::TooLong { max: 200 }));
    assert_eq!(Name::new(" \t "), Err(ValueError::Empty));
    assert_eq!(Name::new("a\0b"), Err(ValueError::ControlCharacter));
    assert_eq!(Name::new("a\nb"), Err(ValueError::ControlCharacter));
    assert_eq!(Name::new(" a b ").unwrap().as_str(), "a b");
    assert!(Description::new("one\ntwo\tthree").is_ok());
    assert_eq!(Description::new("bell\u{7}"), Err(ValueError::ControlCharacter));
    assert_eq!(Description::new(&"x".repeat(10_001)), Err(ValueError::TooLong { max: 10_000 }));
}

#[test]
fn a_price_is_more_than_nothing_and_in_the_shops_currency() {
    let gbp = |pence| Price::new(Money::new(pence, Currency::GBP), Currency::GBP);
    assert!(gbp(1).is_ok() && gbp(Price::MAX).is_ok());
    for wrong in [0, -1, i64::MIN, Price::MAX + 1, i64::MAX] {
        assert_eq!(gbp(wrong), Err(ValueError::PriceOutOfRange), "{wrong}");
    }
    let euros = Price::new(Money::new(1, Currency::EUR), Currency::GBP);
    assert_eq!(euros, Err(ValueError::ForeignCurrency { shop: Currency::GBP }));
}

#[test]
fn attributes_are_few_and_short() {
    let many = |count: usize| (0..count).map(|n| (n.to_string(), String::new())).collect::<BTreeMap<_, _>>();
    assert!(Attributes::new(many(50)).is_ok());
    assert_eq!(Attributes::new(many(51)), Err(ValueError::TooManyEntries { max: 50 }));
    let one = |name: &str, value: &str| Attributes::new([(name.to_owned(), value.to_owned())].into());
    assert!(one("color", "black").is_ok());
    assert!(matches!(one("", "x"), Err(ValueError::EntryName(_))));
    assert!(matches!(one("x", "\0"), Err(ValueError::EntryValue(..))));
    assert!(matches!(one("x", &"x".repeat(501)), Err(ValueError::EntryValue(..))));
}
