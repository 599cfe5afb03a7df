//! Brokers that ask who we are: names and passwords without TLS, which every build has.

use viscount_chassis::{
    devkafka::{
        Listener, Mechanism, Sasl,
        testing::{listening_again, listening_broker, wanted},
    },
    testing::run,
};

use super::{
    hall::Hall,
    trouble::{Shop, told},
};

pub const USER: &str = "shop";
pub const PASSWORD: &str = "correct-horse-battery";

/// Lets this client in, whose password is this.
pub fn sasl(mechanism: Mechanism, password: &str) -> Option<Sasl> {
    Some(Sasl { mechanism, user: USER.to_owned(), password: password.to_owned() })
}

/// What such a client sets.
pub fn variables(protocol: &str, mechanism: Mechanism) -> Vec<(&'static str, String)> {
    vec![
        ("KAFKA_SECURITY_PROTOCOL", protocol.to_owned()),
        ("KAFKA_SASL_MECHANISM", mechanism.name().to_owned()),
        ("KAFKA_SASL_USERNAME", USER.to_owned()),
        ("KAFKA_SASL_PASSWORD", PASSWORD.to_owned()),
    ]
}

/// The broker has another password at first. The client is not touched.
#[test]
fn a_password_that_the_broker_does_not_know_is_told_and_waited_for() {
    if !wanted("a wrong password") {
        return;
    }
    run(async {
        let door = |password| Listener { sasl: sasl(Mechanism::Plain, password), ..Listener::default() };
        let broker = listening_broker(door("something-else")).await;
        let shop = Shop::open(Hall::told(&broker, &variables("sasl_plaintext", Mechanism::Plain))).await;
        shop.sells().await;
        let said = told(&shop, "Authentication failed").await;
        assert!(!said.contains(PASSWORD), "{said}");
        let _broker = listening_again(broker, door(PASSWORD)).await;
        shop.delivers().await;
    });
}

#[test]
fn whoever_gives_no_password_is_told_where_to_look() {
    if !wanted("no password") {
        return;
    }
    run(async {
        let door = Listener { sasl: sasl(Mechanism::Plain, PASSWORD), ..Listener::default() };
        let broker = listening_broker(door).await;
        let shop = Shop::open(Hall::told(&broker, &[])).await;
        told(&shop, "KAFKA_SECURITY_PROTOCOL").await;
        let _broker = listening_again(broker, Listener::default()).await;
        shop.sells().await;
        shop.delivers().await;
    });
}
