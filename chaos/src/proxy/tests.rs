#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    future::Future,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{Proxy, Weather};

/// So long nothing comes: nothing will.
const SILENCE: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_secs(20);

/// Tries until it is so.
async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let until = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < until, "never came to be: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// A target that gives back whatever it gets.
async fn echo() -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            open.spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    (address, task)
}

/// A target whose connections the test holds itself.
async fn hand() -> (SocketAddr, mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Probes are told by their address; they are no connections of clients.
            if stream.peer_addr().is_ok_and(|peer| peer.ip() == Ipv4Addr::LOCALHOST)
                && sender.send(stream).await.is_err()
            {
                return;
            }
        }
    });
    (address, receiver)
}

async fn pair() -> (Proxy, TcpStream, TcpStream) {
    let (target, mut taken) = hand().await;
    let proxy = Proxy::start("pair", target).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let mut at_target = taken.recv().await.unwrap();
    says(&mut client, "hello").await;
    hears(&mut at_target, "hello").await;
    (proxy, client, at_target)
}

async fn says(to: &mut TcpStream, text: &str) {
    to.write_all(text.as_bytes()).await.unwrap();
}

async fn hears(from: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    timeout(PATIENCE, from.read_exact(&mut heard)).await.expect("nothing came").unwrap();
    assert_eq!(String::from_utf8(heard).unwrap(), text);
}

async fn hears_nothing(from: &mut TcpStream) {
    let mut byte = [0; 1];
    let heard = timeout(SILENCE, from.read(&mut byte)).await;
    assert!(heard.is_err(), "{heard:?}");
}

async fn is_reset(stream: &mut TcpStream) {
    let mut byte = [0; 1];
    let end = timeout(PATIENCE, stream.read(&mut byte)).await.expect("it goes on");
    assert_eq!(end.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn megabytes_pass_unchanged_both_ways_and_each_side_ends_for_itself() {
    let (target, _echo) = echo().await;
    let proxy = Proxy::start("echo", target).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let sent: Vec<u8> = (0..8_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (mut from, mut to) = client.split();
    let mut back = Vec::new();
    let (written, read) = tokio::join!(
        async {
            to.write_all(&sent).await?;
            to.shutdown().await
        },
        // What comes back after our end has been said shows that the other direction stays open.
        from.read_to_end(&mut back)
    );
    written.unwrap();
    read.unwrap();
    assert!(back == sent, "{} bytes of {} came back", back.len(), sent.len());
    let figures = proxy.figures();
    assert_eq!((figures.total, figures.bytes_up, figures.bytes_down), (1, 8_000_000, 8_000_000));
    eventually("the connection is closed", || async { proxy.figures().open == 0 }).await;
}

#[tokio::test]
async fn five_hundred_connections_at_once() {
    let (target, _echo) = echo().await;
    let proxy = Proxy::start("echo", target).await.unwrap();
    let mut clients = join_all((0..500).map(|_| TcpStream::connect(proxy.address()))).await;
    for (number, client) in clients.iter_mut().enumerate() {
        says(client.as_mut().unwrap(), &format!("I am number {number:04}")).await;
    }
    for (number, client) in clients.iter_mut().enumerate() {
        hears(client.as_mut().unwrap(), &format!("I am number {number:04}")).await;
    }
    assert_eq!((proxy.figures().open, proxy.figures().total), (500, 500));
}

#[tokio::test]
async fn a_delay_holds_each_byte_up_and_is_lifted_for_what_waits() {
    let (proxy, mut client, mut target) = pair().await;
    proxy.set(Weather::Delay { ms: 120, jitter_ms: 40 });
    eventually("the weather has turned", || async { proxy.weather() != Weather::Clear }).await;
    let begun = Instant::now();
    for word in ["one ", "two ", "three"] {
        says(&mut client, word).await;
    }
    hears(&mut target, "one two three").await;
    assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());

    proxy.set(Weather::Delay { ms: 60_000, jitter_ms: 0 });
    says(&mut target, "late").await;
    hears_nothing(&mut client).await;
    proxy.set(Weather::Clear);
    hears(&mut client, "late").await;
}

#[tokio::test]
async fn a_throttle_is_shared_by_all_connections() {
    let (target, mut taken) = hand().await;
    let proxy = Proxy::start("narrow", target).await.unwrap();
    let mut first = TcpStream::connect(proxy.address()).await.unwrap();
    let mut at_first = taken.recv().await.unwrap();
    let mut second = TcpStream::connect(proxy.address()).await.unwrap();
    let mut at_second = taken.recv().await.unwrap();
    proxy.set(Weather::Throttle { bytes_per_second: 200_000 });
    let begun = Instant::now();
    let text = "x".repeat(50_000);
    says(&mut first, &text).await;
    says(&mut second, &text).await;
    tokio::join!(hears(&mut at_first, &text), hears(&mut at_second, &text));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(450), "100 kB at 200 kB/s took {took:?}");

    proxy.set(Weather::Throttle { bytes_per_second: 100 });
    says(&mut first, &text).await;
    hears_nothing_more_than(&mut at_first, 1_000).await;
    proxy.set(Weather::Clear);
    says(&mut second, "free").await;
    hears(&mut at_second, "free").await;
}

async fn hears_nothing_more_than(from: &mut TcpStream, most: usize) {
    let mut heard = 0;
    let mut bytes = vec![0; 65_536];
    while let Ok(read) = timeout(SILENCE, from.read(&mut bytes)).await {
        heard += read.unwrap();
        assert!(heard <= most, "{heard} bytes");
        if heard > most / 100 {
            return;
        }
    }
}

#[tokio::test]
async fn a_black_hole_takes_everything_and_gives_it_on_when_it_is_lifted() {
    let (target, mut taken) = hand().await;
    let proxy = Proxy::start("hole", target).await.unwrap();
    let mut before = TcpStream::connect(proxy.address()).await.unwrap();
    let mut at_before = taken.recv().await.unwrap();
    proxy.set(Weather::BlackHole);
    says(&mut before, "ping").await;
    says(&mut at_before, "pong").await;
    let mut during = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut during, "hello").await;
    hears_nothing(&mut at_before).await;
    hears_nothing(&mut before).await;
    assert!(taken.try_recv().is_err(), "a connection came through");
    proxy.set(Weather::Clear);
    hears(&mut at_before, "ping").await;
    hears(&mut before, "pong").await;
    let mut at_during = taken.recv().await.unwrap();
    hears(&mut at_during, "hello").await;
}

#[tokio::test]
async fn half_open_lets_requests_through_and_holds_answers() {
    let (proxy, mut client, mut target) = pair().await;
    proxy.set(Weather::HalfOpen);
    says(&mut client, "charge him").await;
    hears(&mut target, "charge him").await;
    says(&mut target, "charged").await;
    hears_nothing(&mut client).await;
    // Neither does the client hear that the other side is gone.
    target.set_zero_linger().unwrap();
    drop(target);
    hears_nothing(&mut client).await;
    proxy.set(Weather::Clear);
    is_broken(&mut client).await;
}

/// It ends, in whatever way; what was held may come before.
async fn is_broken(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it goes on").ok();
}

#[tokio::test]
async fn a_cut_resets_both_sides_and_new_connections_come_through() {
    let (target, mut taken) = hand().await;
    let proxy = Proxy::start("cut", target).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let mut at_target = taken.recv().await.unwrap();
    says(&mut client, "a").await;
    hears(&mut at_target, "a").await;
    proxy.cut();
    is_reset(&mut client).await;
    is_reset(&mut at_target).await;
    let mut again = TcpStream::connect(proxy.address()).await.unwrap();
    let mut at_target = taken.recv().await.unwrap();
    says(&mut again, "b").await;
    hears(&mut at_target, "b").await;
}

#[tokio::test]
async fn a_side_that_resets_resets_the_other() {
    let (_proxy, mut client, target) = pair().await;
    target.set_zero_linger().unwrap();
    drop(target);
    is_reset(&mut client).await;
}

#[tokio::test]
async fn refuse_resets_what_is_open_and_refuses_what_comes() {
    let (proxy, mut client, mut target) = pair().await;
    proxy.set(Weather::Refuse);
    is_reset(&mut client).await;
    is_reset(&mut target).await;
    refuses(&proxy).await;
    proxy.set(Weather::Clear);
    takes(&proxy).await;
}

async fn refuses(proxy: &Proxy) {
    eventually("connections are refused", || async {
        TcpStream::connect(proxy.address()).await.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
    })
    .await;
}

async fn takes(proxy: &Proxy) {
    eventually("connections are taken", || async { TcpStream::connect(proxy.address()).await.is_ok() }).await;
}

#[tokio::test]
async fn while_nobody_listens_at_the_target_nobody_listens_here() {
    let port = TcpSocket::new_v4().unwrap();
    port.set_reuseaddr(true).unwrap();
    port.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = port.local_addr().unwrap();
    let proxy = Proxy::start("away", address).await.unwrap();
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    let listener = port.listen(8).unwrap();
    takes(&proxy).await;
    drop(listener);
    refuses(&proxy).await;

    let (elsewhere, _echo) = echo().await;
    proxy.set_target(elsewhere);
    takes(&proxy).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut client, "moved").await;
    hears(&mut client, "moved").await;
}

#[tokio::test]
async fn who_does_not_read_stops_who_writes() {
    let (proxy, mut client, mut target) = pair().await;
    let block = vec![7; 65_536];
    let mut written = 0;
    // Room enough for the kernel's four buffers, which grow; ours is a fraction of that.
    while let Ok(result) = timeout(SILENCE * 3, client.write(&block)).await {
        written += result.unwrap();
        assert!(written < 128_000_000, "nothing stops the writer");
    }
    assert!(proxy.figures().bytes_up < written as u64);
    let mut read = 0;
    let mut bytes = vec![0; 65_536];
    while read < written {
        read += timeout(PATIENCE, target.read(&mut bytes)).await.unwrap().unwrap();
    }
    assert_eq!(read, written);
}

#[tokio::test]
async fn a_dropped_proxy_leaves_nothing() {
    let (proxy, mut client, _target) = pair().await;
    let address = proxy.address();
    drop(proxy);
    is_broken(&mut client).await;
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    TcpListener::bind(address).await.unwrap();
}

#[test]
fn weather_is_written_as_experiments_have_it() {
    #[derive(serde::Deserialize)]
    struct Fault {
        weather: Weather,
    }
    let read =
        |text: &str| toml::from_str::<Fault>(text).map(|fault| fault.weather).map_err(|e| e.to_string());
    assert_eq!(read("weather = 'black_hole'"), Ok(Weather::BlackHole));
    assert_eq!(read("weather = { delay = { ms = 50 } }"), Ok(Weather::Delay { ms: 50, jitter_ms: 0 }));
    assert!(read("weather = { delay = { ms = 50, jiter_ms = 1 } }").unwrap_err().contains("jiter_ms"));
    assert!(Weather::Delay { ms: 5, jitter_ms: 6 }.unsound().is_some());
    assert!(Weather::Throttle { bytes_per_second: 1 }.unsound().is_some());
    assert!(Weather::HalfOpen.unsound().is_none());
}
