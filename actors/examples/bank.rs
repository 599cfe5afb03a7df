//! A bank whose accounts keep crashing and that still does not lose or double a cent.
//!
//! Every account is an entity actor. Some deposits make it panic, before or after the booking was stored, and a
//! mischief-maker crashes accounts at random besides. The tellers ask again whenever the outcome is unknown; because a
//! booking has an id and the account knows which it has, asking twice books once. At the end the books are compared.
//!
//! `cargo run -p viscount-actors --example bank`

use std::collections::{HashMap, HashSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use viscount_actors::{
    AskError, Backoff, Entity, Intensity, LoadError, Next, Origin, Reply, Restart, Router, RouterSpec,
    Supervisor,
};

const ACCOUNTS: u32 = 20;
const TELLERS: u32 = 8;
const DEPOSITS: u32 = 250;
const DEADLINE: Duration = Duration::from_secs(2);

/// The books: what survives a crash.
#[derive(Clone, Default)]
struct Books {
    bookings: Arc<Mutex<HashMap<u32, Vec<Booking>>>>,
}

#[derive(Clone, Copy)]
struct Booking {
    id: u32,
    cents: u64,
}

struct Account {
    id: u32,
    books: Books,
    balance: u64,
    known: HashSet<u32>,
}

enum Wish {
    Deposit(Booking, Reply<u64>),
    Balance(Reply<u64>),
}

impl Entity for Account {
    const KIND: &'static str = "account";
    type Id = u32;
    type Env = Books;
    type Message = Wish;

    async fn load(id: u32, books: Books, _: Origin) -> Result<Account, LoadError> {
        let stored = books.bookings.lock().get(&id).cloned().unwrap_or_default();
        let balance = stored.iter().map(|booking| booking.cents).sum();
        let known = stored.iter().map(|booking| booking.id).collect();
        Ok(Account { id, books, balance, known })
    }

    async fn handle(&mut self, wishes: Vec<Wish>) -> Next {
        for wish in wishes {
            match wish {
                Wish::Deposit(booking, reply) => {
                    self.book(booking);
                    reply.send(self.balance);
                }
                Wish::Balance(reply) => reply.send(self.balance),
            }
        }
        Next::Continue
    }

    fn state(&self) -> String {
        format!("{} bookings", self.known.len())
    }
}

impl Account {
    fn book(&mut self, booking: Booking) {
        if !self.known.insert(booking.id) {
            return;
        }
        if rand::random_bool(0.02) {
            panic!("struck by lightning before booking {}", booking.id);
        }
        self.books.bookings.lock().entry(self.id).or_default().push(booking);
        if rand::random_bool(0.02) {
            panic!("struck by lightning after booking {}", booking.id);
        }
        self.balance += booking.cents;
    }
}

/// Deposits until the bank has said yes. Returns how often it had to ask.
async fn deposit(bank: &Router<Account>, account: u32, booking: Booking) -> u32 {
    let mut times = 0;
    loop {
        times += 1;
        match bank.ask(account, DEADLINE, |reply| Wish::Deposit(booking, reply)).await {
            Ok(_) | Err(AskError::Stopping) => return times,
            // Whether it was booked is not known, or it was not: ask again, a little later.
            Err(AskError::Panicked | AskError::Dropped | AskError::TimedOut) => {}
            Err(AskError::Overloaded | AskError::Unavailable(_) | AskError::Quarantined { .. }) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// One teller's day. Returns what was taken in, and how often the bank had to be asked.
async fn teller(bank: Router<Account>, number: u32) -> (u64, u32) {
    let (mut taken, mut asked) = (0, 0);
    for nth in 0..DEPOSITS {
        let booking =
            Booking { id: number * DEPOSITS + nth, cents: u64::from(rand::random_range(1..10_000u32)) };
        asked += deposit(&bank, rand::random_range(0..ACCOUNTS), booking).await;
        taken += booking.cents;
    }
    (taken, asked)
}

fn mischief(root: &Supervisor, bank: &Router<Account>) {
    let bank = bank.clone();
    root.task("mischief", Restart::Permanent, move || {
        let bank = bank.clone();
        async move {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                bank.crash(rand::random_range(0..ACCOUNTS));
                if rand::random_bool(0.01) {
                    return Err("even the mischief-maker crashes");
                }
            }
        }
    });
}

async fn business() -> ExitCode {
    let root =
        Supervisor::root("bank", Intensity { max_restarts: 50, window: Duration::from_secs(1) }, |exit| {
            eprintln!("the bank is closed: {exit}");
        });
    let books = Books::default();
    let bank = root.router::<Account>(
        books.clone(),
        RouterSpec {
            intensity: Intensity { max_restarts: 1000, window: Duration::from_secs(10) },
            backoff: Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(5) },
            ..RouterSpec::default()
        },
    );
    mischief(&root, &bank);

    let tellers = (0..TELLERS).map(|number| actix_rt::spawn(teller(bank.clone(), number)));
    let days = join_all(tellers.collect::<Vec<_>>()).await;
    let (taken, asked) = days.into_iter().flatten().fold((0, 0), |sum, day| (sum.0 + day.0, sum.1 + day.1));

    let mut told = 0;
    for account in 0..ACCOUNTS {
        let balance = loop {
            if let Ok(balance) = bank.ask(account, DEADLINE, Wish::Balance).await {
                break balance;
            }
        };
        told += balance;
    }
    let tree = root.snapshot();
    let restarts = tree.find("bank/account").map_or(0, |accounts| accounts.restarts);
    let stopped = root.stop(Duration::from_secs(5)).await;
    let booked: u64 = books.bookings.lock().values().flatten().map(|booking| booking.cents).sum();

    println!("{} deposits, asked {asked} times, {restarts} crashes of accounts", TELLERS * DEPOSITS);
    println!("taken in {taken}, booked {booked}, told by the accounts {told}");
    if let Some(fallen) = tree.find("bank/account").and_then(|accounts| accounts.fallen.first()) {
        println!(
            "the latest to fall: account {}, {}; loaded again with {}",
            fallen.id, fallen.last_exit, fallen.state
        );
    }
    if taken == booked && booked == told && stopped.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    // Hundreds of panics are part of the plan; they are counted, not printed.
    viscount_actors::log_contained_panics();
    actix_rt::System::new().block_on(business())
}
