//! The hand-over between incarnations, under random interleavings: each accepted message is handled exactly once, each
//! entity sees its messages in the order in which they were sent, and never are there two incarnations of one entity.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::{ProptestConfig, Strategy, TestCaseError, any, prop, proptest};
use viscount_actors::{AskError, Backoff, Entity, LoadError, Next, Origin, Reply, Router, RouterSpec};

use crate::house::*;

/// Per entity: (sender, number), as handled.
type Handled = HashMap<u8, Vec<(u8, u32)>>;

#[derive(Clone, Default)]
struct Watch {
    alive: Arc<Mutex<HashMap<u8, u32>>>,
    handled: Arc<Mutex<Handled>>,
    violations: Arc<Mutex<Vec<String>>>,
    incarnations: Arc<AtomicUsize>,
}

impl Watch {
    fn born(&self, id: u8) {
        self.incarnations.fetch_add(1, Ordering::SeqCst);
        let mut alive = self.alive.lock().unwrap();
        let count = alive.entry(id).or_default();
        *count += 1;
        if *count > 1 {
            self.violations.lock().unwrap().push(format!("{count} incarnations of {id}"));
        }
    }
}

/// Counts as alive from the first moment of its load to the last of its drop.
struct Alive(u8, Watch);

impl Drop for Alive {
    fn drop(&mut self) {
        *self.1.alive.lock().unwrap().get_mut(&self.0).unwrap() -= 1;
    }
}

struct Witness {
    alive: Alive,
    seen: u32,
}

struct Note {
    sender: u8,
    number: u32,
    /// 0: nothing special. 1: rest afterwards. 2: reload afterwards. 3: pause in the middle.
    what: u8,
    reply: Option<Reply<()>>,
}

impl Entity for Witness {
    const KIND: &'static str = "witness";
    type Id = u8;
    type Env = Watch;
    type Message = Note;

    async fn load(id: u8, watch: Watch, _: Origin) -> Result<Witness, LoadError> {
        watch.born(id);
        let alive = Alive(id, watch);
        tokio::task::yield_now().await;
        Ok(Witness { alive, seen: 0 })
    }

    async fn handle(&mut self, messages: Vec<Note>) -> Next {
        let Alive(id, watch) = &self.alive;
        let mut next = Next::Continue;
        for note in messages {
            self.seen += 1;
            watch.handled.lock().unwrap().entry(*id).or_default().push((note.sender, note.number));
            match note.what {
                1 => next = Next::Stop,
                2 if next != Next::Stop => next = Next::Reload,
                3 => tokio::time::sleep(Duration::from_millis(1)).await,
                _ => {}
            }
            if let Some(reply) = note.reply {
                reply.send(());
            }
        }
        next
    }
}

/// One step of one sender.
#[derive(Debug, Clone)]
struct Step {
    id: u8,
    what: u8,
    ask: bool,
    pause: u8,
    crash: bool,
}

fn step(crashes: bool) -> impl Strategy<Value = Step> {
    let crash = if crashes { 0.05 } else { 0.0 };
    (0u8..4, 0u8..6, any::<bool>(), 0u8..12, proptest::bool::weighted(crash))
        .prop_map(|(id, what, ask, pause, crash)| Step { id, what, ask, pause, crash })
}

fn senders(crashes: bool) -> impl Strategy<Value = Vec<Vec<Step>>> {
    prop::collection::vec(prop::collection::vec(step(crashes), 1..40), 1..5)
}

/// What happened to a message as its sender knows it.
type Sent = (u8, u8, u32, Result<(), AskError>);

async fn send_all(router: Router<Witness>, sender: u8, steps: Vec<Step>) -> Vec<Sent> {
    let mut sent = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        let number = number as u32;
        match step.pause {
            0 => tokio::time::sleep(Duration::from_millis(3)).await,
            1..6 => tokio::task::yield_now().await,
            _ => {}
        }
        if step.crash {
            router.crash(step.id);
        }
        let note = |reply| Note { sender, number, what: step.what, reply };
        let result = if step.ask {
            router.ask(step.id, LONG, |reply| note(Some(reply))).await
        } else {
            router.tell(step.id, note(None))
        };
        sent.push((step.id, sender, number, result));
    }
    sent
}

fn spec(max_live: usize) -> RouterSpec {
    RouterSpec {
        max_live,
        batch: 3,
        idle: Duration::from_millis(2),
        intensity: at_most(10_000, 1),
        backoff: Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(2) },
        ..RouterSpec::default()
    }
}

/// Judges by what was handled; `lossy` when entities were made to fall.
fn judge(watch: &Watch, sent: &[Sent], lossy: bool) -> Result<(), String> {
    let violations = watch.violations.lock().unwrap();
    if !violations.is_empty() {
        return Err(violations.join("; "));
    }
    if watch.alive.lock().unwrap().values().any(|count| *count != 0) {
        return Err("somebody is still alive".into());
    }
    let handled = watch.handled.lock().unwrap();
    let mut times: HashMap<(u8, u8, u32), usize> = HashMap::new();
    for (id, notes) in handled.iter() {
        let mut latest: HashMap<u8, u32> = HashMap::new();
        for (sender, number) in notes {
            *times.entry((*id, *sender, *number)).or_default() += 1;
            if let Some(before) = latest.insert(*sender, *number)
                && before >= *number
            {
                return Err(format!("{id} saw {number} of sender {sender} after {before}"));
            }
        }
    }
    for (id, sender, number, result) in sent {
        let times = times.remove(&(*id, *sender, *number)).unwrap_or_default();
        let right = match result {
            // An answer means once; so does a tell, unless a fall took it along.
            Ok(()) if lossy => times <= 1,
            Ok(()) => times == 1,
            Err(AskError::Panicked) => lossy && times <= 1,
            Err(_) => times == 0,
        };
        if !right {
            return Err(format!(
                "{number} of sender {sender} to {id} was {result:?} and handled {times} times"
            ));
        }
    }
    if times.is_empty() { Ok(()) } else { Err(format!("nobody sent these: {times:?}")) }
}

async fn run_here(max_live: usize, senders: Vec<Vec<Step>>) -> (Watch, Vec<Sent>) {
    let (tree, watch) = (Tree::new(), Watch::default());
    let router = tree.root.router::<Witness>(watch.clone(), spec(max_live));
    let tasks: Vec<_> = senders
        .into_iter()
        .enumerate()
        .map(|(sender, steps)| actix_rt::spawn(send_all(router.clone(), sender as u8, steps)))
        .collect();
    let mut sent = Vec::new();
    for task in tasks {
        sent.extend(task.await.unwrap());
    }
    assert_eq!(tree.root.stop(LONG).await, Ok(()));
    assert_eq!((router.live(), router.in_flight()), (0, 0));
    (watch, sent)
}

async fn run_on_threads(max_live: usize, senders: Vec<Vec<Step>>) -> (Watch, Vec<Sent>) {
    let (tree, watch) = (Tree::new(), Watch::default());
    let router = tree.root.router::<Witness>(watch.clone(), spec(max_live));
    let threads: Vec<_> = senders
        .into_iter()
        .enumerate()
        .map(|(sender, steps)| {
            let router = router.clone();
            tokio::task::spawn_blocking(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(send_all(router, sender as u8, steps))
            })
        })
        .collect();
    let mut sent = Vec::new();
    for thread in threads {
        sent.extend(thread.await.unwrap());
    }
    assert_eq!(tree.root.stop(LONG).await, Ok(()));
    assert_eq!((router.live(), router.in_flight()), (0, 0));
    (watch, sent)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn passivation_loses_nothing_and_doubles_nothing(max_live in 1usize..4, senders in senders(false)) {
        let (watch, sent) = paused(run_here(max_live, senders));
        judge(&watch, &sent, false).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn falls_in_between_lose_only_what_was_in_hand(max_live in 1usize..4, senders in senders(true)) {
        let (watch, sent) = paused(run_here(max_live, senders));
        judge(&watch, &sent, true).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn neither_does_it_with_senders_on_many_threads(max_live in 1usize..4, senders in senders(false)) {
        let (watch, sent) = real(run_on_threads(max_live, senders));
        judge(&watch, &sent, false).map_err(TestCaseError::fail)?;
    }
}

/// The judge judges.
#[test]
fn the_judge_finds_losses_doubles_and_disorder() {
    let watch = Watch::default();
    let sent = |number| (1, 0, number, Ok(()));
    watch.handled.lock().unwrap().insert(1, vec![(0, 0), (0, 1)]);
    assert!(judge(&watch, &[sent(0), sent(1)], false).is_ok());
    assert!(judge(&watch, &[sent(0), sent(1), sent(2)], false).is_err(), "lost");
    watch.handled.lock().unwrap().insert(1, vec![(0, 1), (0, 0)]);
    assert!(judge(&watch, &[sent(0), sent(1)], false).is_err(), "disorder");
    watch.handled.lock().unwrap().insert(1, vec![(0, 0), (0, 0)]);
    assert!(judge(&watch, &[sent(0)], false).is_err(), "twice");
    watch.born(7);
    watch.born(7);
    assert!(judge(&watch, &[], false).is_err(), "two incarnations");
}
