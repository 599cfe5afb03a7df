//! Brokers behind TLS, with passwords and with certificates; and everything that can be wrong with these.

use std::path::Path;

use viscount_chassis::{
    devkafka::{
        Listener, Mechanism, Sasl, Tls,
        testing::{listening_again, listening_broker, wanted},
    },
    testing::run,
};

use super::{
    authority::{Authority, Identity},
    hall::Hall,
    passwords::{PASSWORD, sasl, variables},
    trouble::{Shop, told},
};

/// Tests dial this address: certificates have to be for it.
const HERE: &str = "127.0.0.1";

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A broker with this certificate.
fn door(identity: &Identity, sasl: Option<Sasl>) -> Listener {
    let tls = Tls { keystore: identity.keystore.clone(), truststore: None };
    Listener { tls: Some(tls), sasl }
}

/// Trusts this authority.
fn trusting(authority: &Authority) -> Vec<(&'static str, String)> {
    vec![("KAFKA_SECURITY_PROTOCOL", "ssl".to_owned()), ("KAFKA_SSL_CA_LOCATION", text(&authority.file()))]
}

async fn with_password(mechanism: Mechanism) {
    let authority = Authority::new();
    let broker = listening_broker(door(&authority.signs(HERE), sasl(mechanism, PASSWORD))).await;
    let mut settings = variables("sasl_ssl", mechanism);
    settings.push(("KAFKA_SSL_CA_LOCATION", text(&authority.file())));
    let shop = Shop::open(Hall::told(&broker, &settings)).await;
    shop.sells().await;
    shop.delivers().await;

    let wrong: Vec<_> = settings
        .into_iter()
        .map(|(name, value)| (name, if value == PASSWORD { "hunter2".to_owned() } else { value }))
        .collect();
    let stranger = Shop::open(Hall::told(&broker, &wrong)).await;
    stranger.sells().await;
    let said = told(&stranger, "Authentication failed").await;
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn plain_passwords_travel_over_tls() {
    if wanted("SASL_SSL with PLAIN") {
        run(with_password(Mechanism::Plain));
    }
}

#[test]
fn passwords_are_proved_with_sha_256() {
    if wanted("SASL_SSL with SCRAM-SHA-256") {
        run(with_password(Mechanism::ScramSha256));
    }
}

#[test]
fn passwords_are_proved_with_sha_512() {
    if wanted("SASL_SSL with SCRAM-SHA-512") {
        run(with_password(Mechanism::ScramSha512));
    }
}

#[test]
fn clients_show_certificates_of_their_own() {
    if !wanted("mTLS") {
        return;
    }
    run(async {
        let authority = Authority::new();
        let mut door = door(&authority.signs(HERE), None);
        if let Some(tls) = &mut door.tls {
            tls.truststore = Some(authority.file());
        }
        let broker = listening_broker(door).await;
        let nobody = Shop::open(Hall::told(&broker, &trusting(&authority))).await;
        nobody.sells().await;
        told(&nobody, "KAFKA_SSL_CERTIFICATE_LOCATION").await;

        let showing = |client: &Identity| {
            let mut settings = trusting(&authority);
            settings.push(("KAFKA_SSL_CERTIFICATE_LOCATION", text(&client.certificate)));
            settings.push(("KAFKA_SSL_KEY_LOCATION", text(&client.key)));
            settings
        };
        let stranger = Shop::open(Hall::told(&broker, &showing(&Authority::new().signs("shop")))).await;
        stranger.sells().await;
        told(&stranger, "KAFKA_SSL_CERTIFICATE_LOCATION").await;

        let shop = Shop::open(Hall::told(&broker, &showing(&authority.signs("shop")))).await;
        shop.sells().await;
        shop.delivers().await;
    });
}

/// The broker shows one certificate after the other. The client is not touched.
#[test]
fn a_certificate_that_is_wrong_is_told_for_what_it_is_and_a_right_one_is_taken() {
    if !wanted("certificates that are wrong") {
        return;
    }
    run(async {
        let authority = Authority::new();
        let mut broker = listening_broker(door(&Authority::new().signs(HERE), None)).await;
        let shop = Shop::open(Hall::told(&broker, &trusting(&authority))).await;
        shop.sells().await;
        told(&shop, "is not signed by an authority of KAFKA_SSL_CA_LOCATION").await;
        for (identity, what) in [
            (authority.signed_long_ago(HERE), "has expired"),
            (authority.signs("broker.example"), "is for another host than 127.0.0.1"),
        ] {
            broker = listening_again(broker, door(&identity, None)).await;
            shop.sells().await;
            told(&shop, what).await;
        }
        let _broker = listening_again(broker, door(&authority.signs(HERE), None)).await;
        shop.delivers().await;
    });
}

#[test]
fn one_side_with_tls_and_the_other_without_is_told() {
    if !wanted("TLS on one side only") {
        return;
    }
    run(async {
        let authority = Authority::new();
        let broker = listening_broker(door(&authority.signs(HERE), None)).await;
        let in_the_clear = Shop::open(Hall::told(&broker, &[])).await;
        in_the_clear.sells().await;
        told(&in_the_clear, "KAFKA_SECURITY_PROTOCOL").await;

        let broker = listening_again(broker, Listener::default()).await;
        in_the_clear.delivers().await;
        let over_tls = Shop::open(Hall::told(&broker, &trusting(&authority))).await;
        over_tls.sells().await;
        told(&over_tls, "KAFKA_SECURITY_PROTOCOL").await;
        let _broker = listening_again(broker, door(&authority.signs(HERE), None)).await;
        over_tls.delivers().await;
    });
}
