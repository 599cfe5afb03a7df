//! Everything that can become of a request or an order, once.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::live::order;
use crate::{
    platform::{Platform, basket, eventually},
    sockets::watch,
};

/// Each route with each of these callers, and each outcome. Buys a few pieces of the product.
pub async fn everything_once(platform: &Platform, admin: &str, buyer: &str, product: &str) {
    every_route(platform, admin, buyer).await;
    wrong_requests(platform, buyer, product).await;
    orders(platform, buyer, product).await;
}

/// Nobody, a buyer, and an administrator who only looks, at each route that is documented.
async fn every_route(platform: &Platform, admin: &str, buyer: &str) {
    let document = platform.http.get(format!("{}/openapi.json", platform.url)).send().await.unwrap();
    let document: Value = document.json().await.unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let id = Uuid::now_v7().to_string();
            let mut url = format!("{}{path}", platform.url);
            while let Some((before, name, after)) = url
                .split_once('{')
                .and_then(|(before, rest)| rest.split_once('}').map(|(name, after)| (before, name, after)))
            {
                url = format!("{before}{}{after}", if name.is_empty() { "" } else { &id });
            }
            let callers = [None, Some(buyer), Some(admin).filter(|_| method == Method::GET)];
            for caller in callers
                .into_iter()
                .enumerate()
                .filter_map(|(at, caller)| (at == 0 || caller.is_some()).then_some(caller))
            {
                let request = platform.http.request(method.clone(), &url).query(&[("service", "orders")]);
                let request = caller.into_iter().fold(request, |request, token| request.bearer_auth(token));
                // Whatever it answers; a stream ends with its connection.
                drop(request.send().await.unwrap());
            }
        }
    }
}

/// What clients do wrong.
async fn wrong_requests(platform: &Platform, buyer: &str, product: &str) {
    let (http, orders) = (&platform.http, format!("{}/v1/orders", platform.url));
    let post_as = |media: &str, body: String| {
        let request = http.post(&orders).bearer_auth(buyer).header("Content-Type", media);
        request.header("Idempotency-Key", Uuid::now_v7().to_string()).body(body)
    };
    let post = |body: String| post_as("application/json", body);
    let good = basket(product, 1);
    let nothing = basket(&Uuid::now_v7().to_string(), 1);
    let mut differ = Vec::new();
    for (request, wanted) in [
        (post("{".to_owned()), 400),
        (post(json!({"lines": []}).to_string()), 422),
        (post(nothing.to_string()), 422),
        (post(format!("\"{}\"", "x".repeat(3 << 20))), 413),
        (post_as("text/plain", good.to_string()), 415),
        (http.post(&orders).bearer_auth(buyer).json(&good), 400),
        (http.post(&orders).bearer_auth("nonsense").json(&good), 401),
        (http.patch(&orders).bearer_auth(buyer), 405),
        (http.get(format!("{orders}/{}", Uuid::now_v7())).bearer_auth(buyer), 404),
        (http.get(format!("{orders}/none")).bearer_auth(buyer), 404),
        (http.get(format!("{orders}?limit=0")).bearer_auth(buyer), 400),
        (http.get(format!("{}/v1/ops/faults?service=orders", platform.url)).bearer_auth(buyer), 403),
        (http.get(format!("{}/nowhere", platform.url)), 404),
    ] {
        let request = request.build().unwrap();
        let what = format!("{} {}", request.method(), request.url());
        let answer = http.execute(request).await.unwrap();
        let status = answer.status();
        if status != wanted {
            differ.push(format!("{what}: {status}, not {wanted}: {}", answer.text().await.unwrap()));
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
    let login = json!({"email": "nobody@example.com", "password": "a long enough password"});
    eventually("too many logins", || async {
        let answer = http.post(format!("{}/v1/auth/login", platform.url)).json(&login).send().await.unwrap();
        (answer.status() == StatusCode::TOO_MANY_REQUESTS).then_some(())
    })
    .await;
}

/// What becomes of orders.
async fn orders(platform: &Platform, buyer: &str, product: &str) {
    let good = basket(product, 1);
    let (key, other) = (Uuid::now_v7().to_string(), basket(product, 2));
    let mut replayed = Vec::new();
    for body in [&good, &good, &other] {
        let answer = platform.post("/v1/orders", buyer, &key, body).await.unwrap();
        replayed.push((answer.status().as_u16(), answer.json::<Value>().await.unwrap()));
    }
    let statuses: Vec<u16> = replayed.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [201, 201, 422], "a repetition, and another body under the same key");
    let bought = replayed[0].1["id"].as_str().unwrap();
    assert_eq!(replayed[1].1["id"], bought);
    assert!(watch(&platform.url, buyer, bought, 0, usize::MAX).await.unwrap().ended);
    let stream = platform.http.get(format!("{}/v1/orders/{bought}/stream", platform.url)).bearer_auth(buyer);
    let stream = stream.header("Accept", "text/event-stream").send().await.unwrap();
    assert!(stream.text().await.unwrap().contains("completed"));
    assert_eq!(platform.until_final(buyer, bought).await, "completed");
    let too_late =
        platform.post(&format!("/v1/orders/{bought}/cancel"), buyer, "-", &json!({"reason": ""})).await;
    assert_eq!(too_late.unwrap().status(), StatusCode::CONFLICT);
    for (amount, wanted) in [(100, 200), (9_999_999, 422), (1_150, 200)] {
        let part = json!({"amount": {"amount": amount, "currency": "GBP"}, "reason": "a scratch"});
        let path = format!("/v1/orders/{bought}/refund");
        let asked = platform.post(&path, buyer, &amount.to_string(), &part).await.unwrap();
        assert_eq!(asked.status(), wanted, "{}", asked.text().await.unwrap());
    }
    eventually("the money back", || async {
        let order = platform.get(&format!("/v1/orders/{bought}"), buyer).await;
        (order["status"] == "refunded").then_some(())
    })
    .await;

    let too_many = platform.post("/v1/orders", buyer, "too-many", &basket(product, 999_999)).await.unwrap();
    let too_many: Value = too_many.json().await.unwrap();
    assert_eq!(platform.until_final(buyer, too_many["id"].as_str().unwrap()).await, "rejected");
    // The provider says no, hesitates, fails twice, and says nothing at all.
    for (card, end) in [
        ("tok_chargeDeclined", "rejected"),
        ("tok_slow", "completed"),
        ("tok_flaky", "completed"),
        ("tok_timeout", "completed"),
    ] {
        let id = order(platform, buyer, product, card).await;
        assert_eq!(platform.until_final(buyer, &id).await, end, "{card}");
    }
    // While its payment is on the way.
    let given_up = order(platform, buyer, product, "tok_slow").await;
    let cancelled = platform
        .post(&format!("/v1/orders/{given_up}/cancel"), buyer, "-", &json!({"reason": "too slow"}))
        .await;
    assert_eq!(cancelled.unwrap().status(), StatusCode::OK);
    assert_eq!(platform.until_final(buyer, &given_up).await, "cancelled");
}
