//! Orders whose event waits behind another one, or whose actor falls or hangs.

use super::*;

#[test]
fn what_waits_behind_an_event_that_was_given_up_is_named() {
    block_on(async {
        let (platform, admin, buyer, product) = shop().await;
        let order = platform.ordered(&buyer, &product).await;
        assert_eq!(platform.until_final(&buyer, &order).await, "completed");
        let mut payments = platform.database("payments", "payment_db").await;
        sql(&mut payments, "alter table refunds add constraint unwanted check (amount <> 100) not valid")
            .await;
        // The first of them is given up, and the second waits for it.
        for amount in [100, 200] {
            let part = json!({"amount": {"amount": amount, "currency": "GBP"}, "reason": "a scratch"});
            let path = format!("/v1/orders/{order}/refund");
            let asked = platform.post(&path, &buyer, &amount.to_string(), &part).await.unwrap();
            assert!(asked.status().is_success(), "{}", asked.text().await.unwrap());
        }
        let why = platform.because(&admin, &order, "completed", "parked_key", "payments").await;
        assert_eq!(why["waits_for"]["what"], "refund");
        let parked = &why["causes"][0]["evidence"]["parked"];
        assert_eq!(
            (&parked["event"], &parked["behind"]),
            (&json!("OrderRefundRequested"), &json!(1)),
            "{why:#}"
        );
        let said = platform.run(&["why", &order]).await;
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains("1 event of the order waits behind it"), "{said}");
        sql(&mut payments, "alter table refunds drop constraint unwanted").await;
        let letter = parked["dead_letter_id"].as_str().unwrap();
        assert!(platform.run(&["dlq", "redrive", letter]).await.status.success());
        eventually("both refunds", || async {
            let order = platform.get(&format!("/v1/orders/{order}"), &buyer).await;
            (order["refunded"]["amount"] == 300).then_some(())
        })
        .await;
        platform.nothing_runs(&admin).await;
    });
}

#[test]
fn an_actor_that_falls_and_one_that_hangs_are_named() {
    block_on(async {
        let (platform, admin, buyer, product) = shop().await;
        let mut payments = platform.database("payments", "payment_db").await;
        sql(&mut payments, "begin; lock table payments in exclusive mode").await;
        let set = async |fault: Value| {
            let set = platform.post("/v1/ops/faults?service=payments", &admin, "-", &fault).await.unwrap();
            assert_eq!(set.status(), StatusCode::CREATED);
        };
        // It falls three times, and is then at a row that it cannot have yet.
        set(json!({"kind": "panic", "actor": "payment", "times": 3})).await;
        let fallen = platform.ordered(&buyer, &product).await;
        let why = platform.because(&admin, &fallen, "validated", "actor_backing_off", "payments").await;
        let evidence = &why["causes"][0]["evidence"];
        assert_eq!(evidence["path"], format!("payments/payment/{fallen}"), "{why:#}");
        assert!(evidence["last_exit"].as_str().unwrap().contains("crash injected by a fault"), "{why:#}");
        sql(&mut payments, "rollback").await;
        assert_eq!(platform.until_final(&buyer, &fallen).await, "completed");

        set(json!({"kind": "stuck", "actor": "payment"})).await;
        let hangs = platform.ordered(&buyer, &product).await;
        let why = platform.because(&admin, &hangs, "validated", "actor_stuck", "payments").await;
        let evidence = &why["causes"][0]["evidence"];
        assert_eq!(evidence["path"], format!("payments/payment/{hangs}"), "{why:#}");
        assert!(why["causes"][0]["since"].is_string(), "{why:#}");
        let tree = platform.run(&["actors", "tree", "--service", "payments"]).await;
        let tree = String::from_utf8(tree.stdout).unwrap();
        assert!(tree.contains(&format!("slow {hangs} at ")), "{tree}");
        assert!(platform.run(&["faults", "clear"]).await.status.success());
        assert_eq!(platform.until_final(&buyer, &hangs).await, "completed");
        platform.nothing_runs(&admin).await;
    });
}
