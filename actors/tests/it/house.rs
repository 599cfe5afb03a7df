//! What the tests share: a paused clock, a tree, and a small entity with a store behind it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use viscount_actors::{
    AskError, Entity, Exit, Intensity, LoadError, Next, Origin, Reply, Router, RouterSpec, Supervisor,
};

/// Long enough never to be the reason that a test fails.
pub const LONG: Duration = Duration::from_secs(600);

/// Runs a test on an actix system whose clock stands still unless everybody waits.
pub fn paused<T>(test: impl Future<Output = T>) -> T {
    quiet_panics();
    actix_rt::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
    })
    .block_on(test)
}

/// The panics of these tests are meant; only those of the tests themselves are shown.
pub fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let show = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<&str>().copied().unwrap_or_default();
            let owned = info.payload().downcast_ref::<String>().map(String::as_str).unwrap_or_default();
            let meant = |text: &str| text.starts_with("boom") || text.starts_with("crash injected");
            if !meant(text) && !meant(owned) {
                show(info);
            }
        }));
    });
}

/// A root whose failure is kept.
pub struct Tree {
    pub root: Supervisor,
    failure: Arc<Mutex<Vec<Exit>>>,
}

impl Tree {
    pub fn new() -> Tree {
        Tree::with(Intensity::default())
    }

    pub fn with(intensity: Intensity) -> Tree {
        let failure = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&failure);
        let root = Supervisor::root("shop", intensity, move |exit| kept.lock().unwrap().push(exit));
        Tree { root, failure }
    }

    pub fn failures(&self) -> Vec<Exit> {
        self.failure.lock().unwrap().clone()
    }
}

pub fn at_most(max_restarts: u32, seconds: u64) -> Intensity {
    Intensity { max_restarts, window: Duration::from_secs(seconds) }
}

/// Lets everything that can run do so, without the clock moving.
pub async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// What the tests' entities share: the store, and a record of what happened.
#[derive(Clone, Default)]
pub struct World {
    pub store: Arc<Mutex<HashMap<u32, Vec<u32>>>>,
    pub log: Arc<Mutex<Vec<String>>>,
    pub broken: Arc<Mutex<bool>>,
    pub load_panics: Arc<Mutex<u32>>,
    pub load_takes: Arc<Mutex<Duration>>,
}

impl World {
    pub fn note(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }

    pub fn notes(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub fn stored(&self, id: u32) -> Vec<u32> {
        self.store.lock().unwrap().get(&id).cloned().unwrap_or_default()
    }
}

/// An entity that keeps a list of numbers; what is stored survives a fall, what is not does not.
pub struct Ledger {
    id: u32,
    world: World,
    entries: Vec<u32>,
}

pub enum Entry {
    /// Adds and stores a number; answers with all numbers.
    Add(u32, Reply<Vec<u32>>),
    /// Adds without storing.
    Scribble(u32, Reply<Vec<u32>>),
    Read(Reply<Vec<u32>>),
    /// Panics at once, or after a while.
    Boom(Option<Duration>, Reply<Vec<u32>>),
    /// Works for so long.
    Work(Duration, Reply<Vec<u32>>),
    Forget(#[allow(dead_code)] Reply<Vec<u32>>),
    Then(Next, Reply<Vec<u32>>),
}

impl Entity for Ledger {
    const KIND: &'static str = "ledger";
    type Id = u32;
    type Env = World;
    type Message = Entry;

    async fn load(id: u32, world: World, origin: Origin) -> Result<Ledger, LoadError> {
        world.note(format!("load {id} {origin:?}"));
        let takes = *world.load_takes.lock().unwrap();
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        if *world.broken.lock().unwrap() {
            return Err(LoadError("the store is down".into()));
        }
        {
            let mut left = world.load_panics.lock().unwrap();
            if *left > 0 {
                *left -= 1;
                drop(left);
                panic!("boom in load");
            }
        }
        let entries = if origin == Origin::New { Vec::new() } else { world.stored(id) };
        Ok(Ledger { id, world, entries })
    }

    async fn handle(&mut self, messages: Vec<Entry>) -> Next {
        let mut next = Next::Continue;
        for message in messages {
            match message {
                Entry::Add(number, reply) => {
                    self.entries.push(number);
                    self.world.store.lock().unwrap().entry(self.id).or_default().push(number);
                    reply.send(self.entries.clone());
                }
                Entry::Scribble(number, reply) => {
                    self.entries.push(number);
                    reply.send(self.entries.clone());
                }
                Entry::Read(reply) => reply.send(self.entries.clone()),
                Entry::Boom(after, reply) => {
                    if let Some(after) = after {
                        tokio::time::sleep(after).await;
                    }
                    let _held = reply;
                    panic!("boom");
                }
                Entry::Work(long, reply) => {
                    tokio::time::sleep(long).await;
                    reply.send(self.entries.clone());
                }
                Entry::Forget(_) => {}
                Entry::Then(then, reply) => {
                    next = then;
                    reply.send(self.entries.clone());
                }
            }
        }
        next
    }

    fn state(&self) -> String {
        format!("{} entries", self.entries.len())
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.world.note(format!("drop {}", self.id));
    }
}

pub type Answer = Result<Vec<u32>, AskError>;

pub async fn add(router: &Router<Ledger>, id: u32, number: u32) -> Answer {
    router.ask(id, LONG, |reply| Entry::Add(number, reply)).await
}

pub async fn read(router: &Router<Ledger>, id: u32) -> Answer {
    router.ask(id, LONG, Entry::Read).await
}

pub async fn boom(router: &Router<Ledger>, id: u32) -> Answer {
    router.ask(id, LONG, |reply| Entry::Boom(None, reply)).await
}

pub fn spec() -> RouterSpec {
    RouterSpec::default()
}

thread_local! {
    static COUNTS: RefCell<HashMap<&'static str, usize>> = RefCell::default();
}

/// Counts per test thread.
pub fn count(what: &'static str) -> usize {
    COUNTS.with_borrow_mut(|counts| {
        let count = counts.entry(what).or_default();
        *count += 1;
        *count
    })
}
