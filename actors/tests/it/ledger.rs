//! An entity for the tests: it keeps a list of numbers. What is stored survives a fall, what is not does not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use viscount_actors::{AskError, Entity, LoadError, Next, Origin, Reply, Router};

use crate::house::{Diary, LONG};

/// The entities' environment: the store, and how it behaves.
#[derive(Clone, Default)]
pub struct World {
    pub store: Arc<Mutex<HashMap<u32, Vec<u32>>>>,
    pub diary: Diary,
    pub down: Arc<Mutex<bool>>,
    pub load_panics: Arc<Mutex<u32>>,
    pub load_takes: Arc<Mutex<Duration>>,
    /// Sizes of batches handled.
    pub batches: Arc<Mutex<Vec<usize>>>,
}

impl World {
    pub fn stored(&self, id: u32) -> Vec<u32> {
        self.store.lock().unwrap().get(&id).cloned().unwrap_or_default()
    }
}

pub struct Ledger {
    id: u32,
    world: World,
    entries: Vec<u32>,
}

pub type Numbers = Reply<Vec<u32>>;

pub enum Entry {
    /// Adds and stores a number; answers with all numbers.
    Add(u32, Numbers),
    /// Adds without storing.
    Scribble(u32, Numbers),
    Read(Numbers),
    /// Panics, at once or after a while.
    Boom(Duration, Numbers),
    /// Works for so long.
    Work(Duration, Numbers),
    /// Drops the reply.
    Forget(Numbers),
    /// Ends the batch like this.
    Then(Next, Numbers),
}

impl Entity for Ledger {
    const KIND: &'static str = "ledger";
    type Id = u32;
    type Env = World;
    type Message = Entry;

    async fn load(id: u32, world: World, origin: Origin) -> Result<Ledger, LoadError> {
        world.diary.note(format!("load {id} {origin:?}"));
        let takes = *world.load_takes.lock().unwrap();
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        if *world.down.lock().unwrap() {
            return Err(LoadError("the store is down".into()));
        }
        if take_one(&world.load_panics) {
            panic!("boom in load");
        }
        let entries = if origin == Origin::New { Vec::new() } else { world.stored(id) };
        Ok(Ledger { id, world, entries })
    }

    async fn handle(&mut self, messages: Vec<Entry>) -> Next {
        self.world.batches.lock().unwrap().push(messages.len());
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
                    if !after.is_zero() {
                        tokio::time::sleep(after).await;
                    }
                    let _held = reply;
                    panic!("boom");
                }
                Entry::Work(long, reply) => {
                    tokio::time::sleep(long).await;
                    reply.send(self.entries.clone());
                }
                Entry::Forget(reply) => drop(reply),
                Entry::Then(then, reply) => {
                    next = then;
                    reply.send(self.entries.clone());
                }
            }
        }
        next
    }

    fn kind(entry: &Entry) -> &'static str {
        match entry {
            Entry::Add(..) => "add",
            Entry::Scribble(..) => "scribble",
            Entry::Read(_) => "read",
            Entry::Boom(..) => "boom",
            Entry::Work(..) => "work",
            Entry::Forget(_) => "",
            Entry::Then(..) => "then",
        }
    }

    fn state(&self) -> String {
        format!("{} entries", self.entries.len())
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.world.diary.note(format!("drop {}", self.id));
    }
}

fn take_one(left: &Mutex<u32>) -> bool {
    let mut left = left.lock().unwrap();
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

pub type Answer = Result<Vec<u32>, AskError>;

pub async fn add(router: &Router<Ledger>, id: u32, number: u32) -> Answer {
    router.ask(id, LONG, |reply| Entry::Add(number, reply)).await
}

pub async fn scribble(router: &Router<Ledger>, id: u32, number: u32) -> Answer {
    router.ask(id, LONG, |reply| Entry::Scribble(number, reply)).await
}

pub async fn read(router: &Router<Ledger>, id: u32) -> Answer {
    router.ask(id, LONG, Entry::Read).await
}

pub async fn boom(router: &Router<Ledger>, id: u32) -> Answer {
    router.ask(id, LONG, |reply| Entry::Boom(Duration::ZERO, reply)).await
}

pub async fn work(router: &Router<Ledger>, id: u32, long: Duration) -> Answer {
    router.ask(id, LONG, |reply| Entry::Work(long, reply)).await
}

pub async fn then(router: &Router<Ledger>, id: u32, next: Next) -> Answer {
    router.ask(id, LONG, |reply| Entry::Then(next, reply)).await
}
