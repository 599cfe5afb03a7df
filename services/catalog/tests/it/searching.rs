//! Search: words, weights, typos.

use futures_util::{StreamExt, stream};
use serde_json::json;
use viscount_chassis::testing::run;

use crate::app::{TestApp, boots, plain, with};

const BOOTS: &str = "Wanderer Black Hiking Boots";

async fn shop() -> TestApp {
    let app = TestApp::start().await;
    app.create(boots()).await.is(201);
    let others = [
        (
            "H-1",
            "Summit Pro Harness",
            "Lightweight climbing harness. Never goes hiking without you.",
            "Climbing",
        ),
        ("G-1", "Alpine Fusion Goggles", "Anti-fog lenses, silver frame.", "Ski/boarding"),
        ("T-1", "Trailblazer T-Shirt", "Cotton, in black.", "Clothing"),
        ("R-1", "Rubber Boots", "For the garden.", "Footwear"),
        ("L-1", "Crème brûlée torch", "Burns sugar.", "Kitchen"),
        ("U-1", "Żółta łódka", "Papierowa.", "Toys"),
    ];
    for (sku, name, description, category) in others {
        let details = json!({ "description": description, "category": category });
        app.create(with(plain(sku, name), details)).await.is(201);
    }
    app
}

#[test]
fn words_are_found_in_any_form_wherever_they_stand() {
    run(async {
        let app = shop().await;
        for words in [
            "wanderer",
            "BOOT hiking",
            "daybird",
            "footwear daybird",
            "leather soles",
            "midnight",
            "BOOT-1",
            "boot-1",
            " BOOT-1 ",
        ] {
            assert_eq!(app.search(words).await.is(200).names(), [BOOTS], "{words}");
        }
        assert_eq!(app.search("t-shirt").await.names(), ["Trailblazer T-Shirt"]);
        assert_eq!(app.search("anti-fog").await.names(), ["Alpine Fusion Goggles"]);
        assert_eq!(app.search("boarding").await.names(), ["Alpine Fusion Goggles"]);
        assert_eq!(app.search("ski/boarding").await.names(), ["Alpine Fusion Goggles"]);
        assert_eq!(app.search("łódka").await.names(), ["Żółta łódka"]);
    });
}

#[test]
fn a_word_of_the_name_counts_more_than_one_of_the_description() {
    run(async {
        let app = shop().await;
        assert_eq!(app.search("hiking").await.names(), [BOOTS, "Summit Pro Harness"]);
        assert_eq!(app.search("black").await.names(), [BOOTS, "Trailblazer T-Shirt"]);
    });
}

#[test]
fn a_typo_still_finds() {
    run(async {
        let app = shop().await;
        for words in [
            "wandrer boots",
            "wanderrer",
            "hikng boots",
            "Wanderer Balck Boots",
            "daybrid",
            "waterprof lether",
            "wnaderer",
        ] {
            assert_eq!(app.search(words).await.is(200).names(), [BOOTS], "{words}");
        }
        assert_eq!(app.search("alpin gogles").await.names(), ["Alpine Fusion Goggles"]);
        assert_eq!(app.search("harnes").await.names(), ["Summit Pro Harness"]);
        assert_eq!(app.search("creme brulee").await.names(), ["Crème brûlée torch"]);
        assert_eq!(
            app.search("zolta lodka").await.names(),
            [""; 0],
            "three letters wrong in five are another word"
        );
    });
}

#[test]
fn the_beginning_of_a_word_finds() {
    run(async {
        let app = shop().await;
        assert_eq!(app.search("trailbl").await.names(), ["Trailblazer T-Shirt"]);
        assert_eq!(app.search("wander boo").await.names(), [BOOTS]);
    });
}

#[test]
fn when_no_product_has_every_word_those_with_some_are_shown() {
    run(async {
        let app = shop().await;
        assert_eq!(app.search("purple rubber hiking boots").await.names()[..2], [BOOTS, "Rubber Boots"]);
        assert_eq!(app.search("the wandrer").await.names(), [BOOTS]);
        assert_eq!(app.search("xylophone").await.names(), [""; 0]);
    });
}

#[test]
fn results_come_in_pages() {
    run(async {
        let app = TestApp::start().await;
        for n in 0..7 {
            let description = "boots ".repeat(n);
            app.create(with(
                plain(&n.to_string(), &format!("Boots {n}")),
                json!({ "description": description }),
            ))
            .await
            .is(201);
        }
        for words in ["boots", "bootss", "bootss xylophone"] {
            let whole = app.get(&format!("/v1/products/search?q={words}")).await.is(200);
            assert_eq!(whole.names().len(), 7, "{words}");
            let mut found = Vec::new();
            let mut page = app.get(&format!("/v1/products/search?q={words}&limit=3")).await.is(200);
            loop {
                found.extend(page.names().iter().map(|name| (*name).to_owned()));
                let Some(cursor) = page.json["next_cursor"].as_str() else { break };
                page =
                    app.get(&format!("/v1/products/search?q={words}&limit=3&cursor={cursor}")).await.is(200);
            }
            assert_eq!(found, whole.names(), "{words}");
        }
    });
}

#[test]
fn whatever_is_typed_is_a_search() {
    run(async {
        let app = shop().await;
        let long = "wand ".repeat(40);
        for words in [
            "' | !", "a & b", "boots:*", "\\", "\"boots", "-boots", "½", "the", "!!", "☃", &long, "ﷺ",
            "a\u{301}",
        ] {
            app.search(words).await.is(200);
        }
        assert_eq!(app.search("boots' | 'x").await.is(200).names().len(), 2);
        for words in ["", "  ", "a\0b", &"x".repeat(201)] {
            app.search(words).await.is(400);
        }
        app.get("/v1/products/search").await.is(400);
        app.get("/v1/products/search?q=a&colour=red").await.is(400);
    });
}

#[test]
fn of_a_word_that_very_many_products_have_those_with_it_in_their_name_come_first() {
    run(async {
        let app = TestApp::start().await;
        // More than are ranked by their descriptions; the one with the word in its name comes last.
        let others: Vec<_> = stream::iter(0..600)
            .map(|n| {
                let description = json!({ "description": "A lovely gift." });
                app.create(with(plain(&format!("S{n}"), &format!("Product {n}")), description))
            })
            .buffer_unordered(32)
            .collect()
            .await;
        others.into_iter().for_each(|answer| drop(answer.is(201)));
        app.create(plain("CARD", "Gift card")).await.is(201);
        let found = app.search("gift").await.is(200);
        let names = found.names();
        assert_eq!(names.first(), Some(&"Gift card"));
        assert!(names.len() > 1);
        // The same page again: the same products.
        assert_eq!(app.search("gift").await.is(200).names(), names);
    });
}
