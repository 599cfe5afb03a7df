//! For tests on a real broker: one per test process, topics named apart by a prefix per test.
//!
//! Without a JDK and Maven these tests fail and say what to install. `VISCOUNT_WITHOUT_KAFKA=1` leaves them out; each
//! then says so.
//!
//! Functions here panic: a test without its broker has nothing else to say.

use tokio::sync::OnceCell;

use super::{DevKafka, DevRegistry, Listener};

/// False when tests on a real broker are to be left out, which is said on standard error.
pub fn wanted(test: &str) -> bool {
    let without = std::env::var_os("VISCOUNT_WITHOUT_KAFKA").is_some_and(|value| value == "1");
    if without {
        eprintln!("left out because of VISCOUNT_WITHOUT_KAFKA=1: {test}");
    }
    !without
}

/// The broker that all tests of this process share; nobody may kill it.
///
/// # Panics
/// When no broker can be had.
pub async fn test_brokers() -> String {
    static BROKER: OnceCell<DevKafka> = OnceCell::const_new();
    BROKER.get_or_init(|| own_broker(&[])).await.brokers()
}

/// A broker of one's own, for tests that kill it.
///
/// # Panics
/// When no broker can be had.
pub async fn own_broker(settings: &'static [&'static str]) -> DevKafka {
    match on_a_blocking_thread(move || DevKafka::start(settings)).await {
        Ok(broker) => broker,
        Err(error) => panic!("cannot start a broker: {error}"),
    }
}

/// A broker of one's own that lets clients in like this.
///
/// # Panics
/// When no broker can be had.
pub async fn listening_broker(listener: Listener) -> DevKafka {
    match on_a_blocking_thread(move || DevKafka::start_listening(&listener, &[])).await {
        Ok(broker) => broker,
        Err(error) => panic!("cannot start a broker: {error}"),
    }
}

/// The same broker, killed and started again, with clients let in like this.
///
/// # Panics
/// When it does not start.
pub async fn listening_again(mut broker: DevKafka, listener: Listener) -> DevKafka {
    on_a_blocking_thread(move || match broker.restart_listening(&listener) {
        Ok(()) => broker,
        Err(error) => panic!("cannot start the broker again: {error}"),
    })
    .await
}

/// The address of the schema registry that all tests of this process share; nobody may kill it.
///
/// # Panics
/// When no registry can be had.
pub async fn test_registry() -> String {
    static REGISTRY: OnceCell<DevRegistry> = OnceCell::const_new();
    REGISTRY.get_or_init(own_registry).await.url()
}

/// A schema registry of one's own, for tests that kill it.
///
/// # Panics
/// When no registry can be had.
pub async fn own_registry() -> DevRegistry {
    match on_a_blocking_thread(DevRegistry::start).await {
        Ok(registry) => registry,
        Err(error) => panic!("cannot start a schema registry: {error}"),
    }
}

/// Runs what blocks aside from the test.
///
/// # Panics
/// When it panics.
pub async fn on_a_blocking_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => panic!("a blocking thread: {error}"),
    }
}

/// A prefix for the topics of one test.
pub fn prefix() -> String {
    format!("test-{}.", uuid::Uuid::new_v4().simple())
}
