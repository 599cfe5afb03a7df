//! CPU time and memory of each component, once a second, in a thread of its own: reading `/proc` must not delay the load.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    components::{Components, GENERATOR, PLATFORM, POSTGRES},
    processes::{self, Machine, Stat},
};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Looks that are asked for and not taken yet.
const ASKING: usize = 4;

/// What has been sampled so far.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    names: Vec<String>,
    samples: Vec<Sample>,
}

/// One look at everybody, in the order of the names. Who came later is not in the earlier ones.
#[derive(Debug, Clone)]
struct Sample {
    at: Instant,
    /// Seconds of CPU time since the first look.
    cpu: Vec<f64>,
    /// MiB; nothing where memory is not told apart.
    memory: Vec<Option<f64>>,
    /// Seconds of CPU time of the generator's first thread.
    load: f64,
    /// CPU time of the whole machine.
    machine: Machine,
}

/// Somebody asks for a look before its time, and waits for it or not.
type Asked = Option<SyncSender<()>>;

/// Looks once a second until it is dropped.
pub struct Sampler {
    usage: Arc<Mutex<Usage>>,
    /// Until it is dropped.
    asking: Option<SyncSender<Asked>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Begins with a first look.
    pub fn start(components: Components) -> Self {
        let usage = Arc::new(Mutex::new(Usage::default()));
        let (asking, asked) = sync_channel(ASKING);
        let mut looker = Looker::new(components);
        looker.look(&usage);
        let shared = usage.clone();
        let thread = std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || looker.run(&shared, &asked))
            // Without it there are no figures of processes, and all else goes on.
            .ok();
        Self { usage, asking: Some(asking), thread }
    }

    /// Has a look taken now, and does not wait for it: what happens until the next one would count as if it had happened
    /// evenly, up to a second of it in the wrong phase.
    pub fn look(&self) {
        // When so many looks are asked for already, one of them is soon enough.
        let _ = self.asking.as_ref().map(|asking| asking.try_send(None));
    }

    /// What has been sampled so far, up to now.
    pub fn usage(&self) -> Usage {
        let (looked, look) = sync_channel(1);
        if self.asking.as_ref().is_some_and(|asking| asking.try_send(Some(looked)).is_ok()) {
            // Without it the last stretch is missing, and all else is there.
            let _ = look.recv_timeout(EVERY);
        }
        lock(&self.usage).clone()
    }

    /// Cores and MiB of the platform and of PostgreSQL in the last second, and how busy the generator was.
    pub fn latest(&self) -> Latest {
        let usage = lock(&self.usage);
        let Some((last, earlier)) = usage.samples.split_last() else { return Latest::default() };
        // A look that was asked for may be just behind another, and the kernel counts in hundredths of a second.
        let before = earlier.iter().rev().find(|before| last.at.duration_since(before.at) >= EVERY / 2);
        let Some(before) = before else { return Latest::default() };
        let seconds = last.at.duration_since(before.at).as_secs_f64().max(1e-9);
        let mut latest = Latest { generator: (last.load - before.load) / seconds, ..Latest::default() };
        for (number, name) in usage.names.iter().enumerate() {
            let cores = (last.cpu(number) - before.cpu(number)) / seconds;
            let memory = last.memory.get(number).copied().flatten().unwrap_or_default();
            match name.as_str() {
                GENERATOR => {}
                POSTGRES => (latest.postgres, latest.postgres_mib) = (cores, memory),
                _ => {
                    latest.platform += cores;
                    latest.platform_mib += memory;
                }
            }
        }
        latest
    }
}

/// Who uses what right now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latest {
    /// Cores.
    pub platform: f64,
    /// MiB.
    pub platform_mib: f64,
    /// Cores.
    pub postgres: f64,
    /// MiB.
    pub postgres_mib: f64,
    /// How busy the generator's thread is.
    pub generator: f64,
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.asking = None;
        if let Some(thread) = self.thread.take() {
            // It only reads; how it ended changes nothing.
            let _ = thread.join();
        }
    }
}

impl Usage {
    /// Names of the components.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Seconds of CPU time that a component used in this stretch of time.
    pub fn cpu(&self, component: usize, from: Instant, to: Instant) -> f64 {
        let at = |at| self.between(at, |sample| sample.cpu(component));
        (at(to) - at(from)).max(0.0)
    }

    /// How busy the generator's thread was, 1 being all the time.
    pub fn busy(&self, from: Instant, to: Instant) -> f64 {
        let at = |at| self.between(at, |sample| sample.load);
        (at(to) - at(from)).max(0.0) / to.saturating_duration_since(from).as_secs_f64().max(1e-9)
    }

    /// Cores that processes of this machine used which belong to nobody here.
    pub fn others(&self, from: Instant, to: Instant) -> f64 {
        let known: f64 = (0..self.names.len()).map(|component| self.cpu(component, from, to)).sum();
        let at = |at| self.between(at, |sample| sample.machine.used);
        (at(to) - at(from) - known).max(0.0) / to.saturating_duration_since(from).as_secs_f64().max(1e-9)
    }

    /// Cores that the hypervisor gave to other machines while this one wanted them.
    pub fn stolen(&self, from: Instant, to: Instant) -> f64 {
        let at = |at| self.between(at, |sample| sample.machine.stolen);
        (at(to) - at(from)).max(0.0) / to.saturating_duration_since(from).as_secs_f64().max(1e-9)
    }

    /// MiB that a component holds at this time: the next look's.
    pub fn memory(&self, component: usize, at: Instant) -> Option<f64> {
        let next = self.samples.partition_point(|sample| sample.at < at);
        let sample = self.samples.get(next).or(self.samples.last())?;
        sample.memory.get(component).copied().flatten()
    }

    /// The most MiB that a component held in this stretch of time.
    pub fn most_memory(&self, component: usize, from: Instant, to: Instant) -> Option<f64> {
        let seen = self.samples.iter().filter(|sample| sample.at >= from && sample.at <= to);
        let seen = seen.filter_map(|sample| sample.memory.get(component).copied().flatten());
        seen.chain(self.memory(component, to)).reduce(f64::max)
    }

    /// A figure that only grows, at any time: on the straight line between two looks.
    fn between(&self, at: Instant, figure: impl Fn(&Sample) -> f64) -> f64 {
        let next = self.samples.partition_point(|sample| sample.at < at);
        let (Some(last), Some(first)) = (self.samples.last(), self.samples.first()) else { return 0.0 };
        match (next.checked_sub(1).and_then(|before| self.samples.get(before)), self.samples.get(next)) {
            (Some(before), Some(after)) => {
                let whole = after.at.duration_since(before.at).as_secs_f64().max(1e-9);
                let part = at.duration_since(before.at).as_secs_f64() / whole;
                figure(before) + (figure(after) - figure(before)) * part
            }
            (None, _) => figure(first),
            (_, None) => figure(last),
        }
    }
}

impl Sample {
    fn cpu(&self, component: usize) -> f64 {
        self.cpu.get(component).copied().unwrap_or_default()
    }
}

struct Looker {
    components: Components,
    /// What each thread or process had used at the last look.
    seen: HashMap<u32, f64>,
    /// What each component has used since the first one.
    used: BTreeMap<String, f64>,
    /// Of each process whose threads are told apart.
    rests: HashMap<u32, Rest>,
    first: bool,
}

/// What a process has used since the first look, beyond what its living threads tell.
struct Rest {
    first: f64,
    whole: f64,
    told: f64,
}

impl Rest {
    fn look(&mut self, whole: f64, told: f64) {
        self.whole = whole;
        self.told += told;
    }

    /// From totals: the threads are read a little later than the process, so that single differences go up and down. Adding
    /// up those that are above zero would make something of nothing.
    fn now(&self) -> f64 {
        (self.whole - self.first - self.told).max(0.0)
    }
}

impl Looker {
    fn new(components: Components) -> Self {
        Self { components, seen: HashMap::new(), used: BTreeMap::new(), rests: HashMap::new(), first: true }
    }

    fn run(mut self, usage: &Mutex<Usage>, asked: &Receiver<Asked>) {
        let mut next = Instant::now() + EVERY;
        loop {
            match asked.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(who) => {
                    self.look(usage);
                    // Who has not waited for it does not need to be told.
                    let _ = who.map(|who| who.try_send(()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.look(usage);
                    next += EVERY;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // The last stretch is not lost.
        self.look(usage);
    }

    fn look(&mut self, usage: &Mutex<Usage>) {
        let at = Instant::now();
        let mut memory: BTreeMap<String, f64> = BTreeMap::new();
        for (name, pid) in self.components.own.clone() {
            if let Some(stat) = processes::process(pid) {
                self.add(&name, pid, stat.cpu);
                *memory.entry(name).or_default() += resident(pid);
            }
        }
        for pid in self.components.shared.clone() {
            self.look_at_threads(pid);
            *memory.entry(PLATFORM.to_owned()).or_default() += resident(pid);
        }
        if let Some(postmaster) = self.components.postmaster {
            let mib = self.look_at_postgres(postmaster);
            memory.insert(POSTGRES.to_owned(), mib);
        }
        let own = std::process::id();
        if let Some(stat) = processes::process(own) {
            self.add(GENERATOR, own, stat.cpu);
            memory.insert(GENERATOR.to_owned(), resident(own));
        }
        let load = processes::threads(own)
            .into_iter()
            .find(|(thread, _)| *thread == own)
            .map_or(0.0, |(_, stat)| stat.cpu);
        let machine = processes::machine().unwrap_or_default();
        self.first = false;
        let mut usage = lock(usage);
        for name in self.used.keys().chain(memory.keys()) {
            if !usage.names.contains(name) {
                usage.names.push(name.clone());
            }
        }
        let used = |name: &String| {
            let rest = if name == PLATFORM { self.rests.values().map(Rest::now).sum() } else { 0.0 };
            self.used.get(name).copied().unwrap_or_default() + rest
        };
        let cpu = usage.names.iter().map(used).collect();
        let memory = usage.names.iter().map(|name| memory.get(name).copied()).collect();
        usage.samples.push(Sample { at, cpu, memory, load, machine });
    }

    /// What the process has used beyond its living threads was used by threads that have ended.
    fn look_at_threads(&mut self, pid: u32) {
        let Some(whole) = processes::process(pid) else { return };
        let threads = processes::threads(pid);
        let mut told = 0.0;
        for (thread, stat) in threads {
            // The first thread has the process's id, and the process's name.
            let key = if thread == pid { u32::MAX - pid } else { thread };
            let service = self.components.service_of(&stat.name).to_owned();
            told += self.add(&service, key, stat.cpu);
        }
        let rest = self.rests.entry(pid).or_insert(Rest { first: whole.cpu, whole: whole.cpu, told: 0.0 });
        rest.look(whole.cpu, told);
    }

    /// Its buffers are in every backend that has touched them, and counted once. A backend's ended children are the
    /// postmaster's: what they used is used all the same.
    fn look_at_postgres(&mut self, postmaster: u32) -> f64 {
        let (mut own, mut shared, mut files) = (0.0, 0.0f64, 0.0f64);
        let mut cpu = 0.0;
        let children = processes::children(postmaster);
        for pid in children.into_iter().chain([postmaster]) {
            let Some(Stat { cpu: used, ended_children_cpu, .. }) = processes::process(pid) else { continue };
            cpu += used + if pid == postmaster { ended_children_cpu } else { 0.0 };
            let memory = processes::memory(pid).unwrap_or_default();
            own += memory.own;
            shared = shared.max(memory.shared);
            files = files.max(memory.files);
        }
        let key = postmaster;
        // Between a child's end and its parent's wait its time is nowhere.
        let cpu = self.seen.get(&key).map_or(cpu, |before| cpu.max(*before));
        self.add(POSTGRES, key, cpu);
        own + shared + files
    }

    /// Adds what was used since the last look, and says how much that was. What is new since then is new altogether.
    fn add(&mut self, name: &str, key: u32, cpu: f64) -> f64 {
        let before = self.seen.insert(key, cpu).unwrap_or(if self.first { cpu } else { 0.0 });
        let used = (cpu - before).max(0.0);
        *self.used.entry(name.to_owned()).or_default() += used;
        used
    }
}

fn resident(pid: u32) -> f64 {
    processes::memory(pid).map_or(0.0, |memory| memory.own + memory.files + memory.shared)
}

/// Nothing is left half done in there, so it is good also when a thread died with it.
fn lock(usage: &Mutex<Usage>) -> MutexGuard<'_, Usage> {
    usage.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
