//! Lists: filters, orders, pages.

use serde_json::{Value, json};
use viscount_chassis::testing::run;

use crate::app::{Answer, TestApp, gbp, plain, with};

async fn shop() -> TestApp {
    let app = TestApp::start().await;
    let products = [
        ("1", "apple mug", "Kitchen", "Acme", 300),
        ("2", "Zebra mug", "Kitchen", "Zoo", 100),
        ("3", "Boots", "Footwear", "Acme", 900),
        ("4", "boots", "Footwear", "Zoo", 300),
        ("5", "Ångström lamp", "Lights", "Zoo", 300),
    ];
    for (sku, name, category, brand, price) in products {
        let details = json!({ "category": category, "brand": brand, "price": gbp(price) });
        app.create(with(plain(sku, name), details)).await.is(201);
    }
    app
}

async fn names(app: &TestApp, query: &str) -> String {
    app.get(&format!("/v1/products?{query}")).await.is(200).names().join(", ")
}

/// Follows the links from page to page, as a client does.
async fn pages(app: &TestApp, path: &str) -> Vec<Answer> {
    let mut pages = vec![app.get(path).await.is(200)];
    while let Some(link) = &pages.last().unwrap().link {
        let next =
            link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
        pages.push(app.get(&next).await.is(200));
    }
    pages
}

#[test]
fn filters_narrow_the_list() {
    run(async {
        let app = shop().await;
        assert_eq!(names(&app, "category=Kitchen").await, "Zebra mug, apple mug");
        assert_eq!(names(&app, "brand=Zoo&sort=name").await, "boots, Zebra mug, Ångström lamp");
        assert_eq!(names(&app, "brand=Zoo&category=Footwear").await, "boots");
        assert_eq!(
            names(&app, "min_price=300&max_price=899&sort=name").await,
            "apple mug, boots, Ångström lamp"
        );
        assert_eq!(names(&app, "category=Nothing").await, "");
        assert_eq!(names(&app, "in_stock=true").await, "");
        assert_eq!(names(&app, "in_stock=false&category=Lights").await, "Ångström lamp");
    });
}

#[test]
fn lists_come_in_the_order_asked_for() {
    run(async {
        let app = shop().await;
        assert_eq!(
            names(&app, "").await,
            "Ångström lamp, boots, Boots, Zebra mug, apple mug",
            "the newest first"
        );
        assert_eq!(names(&app, "sort=newest").await, names(&app, "").await);
        let by_name = "apple mug, Boots, boots, Zebra mug, Ångström lamp";
        assert_eq!(names(&app, "sort=name").await, by_name, "regardless of case; equal ones by age");
        assert_eq!(names(&app, "sort=-name").await, "Ångström lamp, Zebra mug, boots, Boots, apple mug");
        assert_eq!(names(&app, "sort=price").await, "Zebra mug, apple mug, boots, Ångström lamp, Boots");
        assert_eq!(names(&app, "sort=-price").await, "Boots, Ångström lamp, boots, apple mug, Zebra mug");
    });
}

#[test]
fn pages_repeat_and_skip_nothing_even_while_products_are_added() {
    run(async {
        let app = shop().await;
        for sort in ["newest", "name", "-name", "price", "-price"] {
            let path = format!("/v1/products?sort={sort}");
            let whole = app.get(&path).await.json["items"].clone();
            for limit in 1..=3 {
                let pages = pages(&app, &format!("{path}&limit={limit}")).await;
                assert!(pages.iter().all(|page| page.json["items"].as_array().unwrap().len() <= limit));
                let items: Vec<Value> =
                    pages.iter().flat_map(|page| page.json["items"].as_array().unwrap().clone()).collect();
                assert_eq!(Value::from(items), whole, "{sort} by {limit}");
                assert_eq!(pages.last().unwrap().json["next_cursor"], Value::Null);
            }
        }
        let first = app.get("/v1/products?sort=price&limit=2").await;
        app.create(plain("6", "cheap newcomer")).await.is(201);
        let cursor = first.json["next_cursor"].as_str().unwrap();
        let next = app.get(&format!("/v1/products?sort=price&limit=2&cursor={cursor}")).await.is(200);
        assert_eq!(next.names(), ["boots", "Ångström lamp"]);
    });
}

#[test]
fn a_page_of_the_longest_names_has_a_next_one() {
    run(async {
        let app = TestApp::start().await;
        let long = "𝕏".repeat(199);
        for n in 1..=3 {
            app.create(plain(&n.to_string(), &format!("{long}{n}"))).await.is(201);
        }
        assert_eq!(pages(&app, "/v1/products?sort=name&limit=1").await.len(), 3);
        assert_eq!(pages(&app, "/v1/products?sort=-name&limit=1").await.len(), 3);
    });
}

#[test]
fn categories_are_counted() {
    run(async {
        let app = shop().await;
        app.create(plain("6", "Nowhere")).await.is(201);
        let expected = json!([
            { "name": "Footwear", "count": 2 },
            { "name": "Kitchen", "count": 2 },
            { "name": "Lights", "count": 1 },
        ]);
        assert_eq!(app.get("/v1/categories").await.is(200).json["items"], expected);

        let mugs = app.get("/v1/products?category=Kitchen&sort=name").await.json["items"].clone();
        let id = |n: usize| mugs[n]["id"].as_str().unwrap().parse().unwrap();
        app.archive(id(0)).await.is(204);
        app.archive(id(0)).await.is(204);
        app.replace(id(1), "*", with(plain("2", "Zebra lamp"), json!({ "category": "Lights" })))
            .await
            .is(200);
        let expected = json!([{ "name": "Footwear", "count": 2 }, { "name": "Lights", "count": 2 }]);
        assert_eq!(app.get("/v1/categories").await.json["items"], expected);
    });
}

#[test]
fn parameters_that_cannot_be_are_named() {
    run(async {
        let app = TestApp::start().await;
        for (query, name) in [
            ("sort=size", "sort"),
            ("min_price=cheap", "min_price"),
            ("max_price=99999999999999999999", "max_price"),
            ("in_stock=perhaps", "in_stock"),
            ("colour=red", "colour"),
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("cursor=abc", "cursor"),
            ("category=%00", "category"),
        ] {
            let answer = app.get(&format!("/v1/products?{query}")).await.is(400);
            assert!(answer.json["detail"].as_str().unwrap().contains(name), "{query}: {answer:?}");
        }
        app.create(plain("1", "one")).await.is(201);
        app.create(plain("2", "two")).await.is(201);
        let by_name = app.get("/v1/products?sort=name&limit=1").await.json["next_cursor"].clone();
        app.get(&format!("/v1/products?sort=price&cursor={}", by_name.as_str().unwrap())).await.is(400);
        app.get(&format!("/v1/products/search?q=one&cursor={}", by_name.as_str().unwrap())).await.is(400);
    });
}
