//! Where every decision of a run comes from: a seed, or the record of an earlier run.
//!
//! Whatever could go one way or another asks here, so that the numbers given out are the whole run: the same numbers,
//! the same run, byte for byte. They are kept step by step, because a step can be left out of a record and the others
//! still mean what they meant; that is what makes a failing record small enough to read.

/// The decisions of one step. The first one says what kind of step it is.
pub type Step = Vec<u32>;

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): small, and enough to choose.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[derive(Debug)]
enum Source {
    Seed(Random),
    Record {
        steps: Vec<Step>,
        next: usize,
        at: usize,
    },
    /// Always the plainest: faults have ceased.
    Calm,
}

/// Gives out decisions and writes them down.
#[derive(Debug)]
pub struct Choices {
    source: Source,
    step: Step,
    made: Vec<Step>,
}

/// The seed of episode number `episode` of a run.
pub fn episode_seed(seed: u64, episode: u64) -> u64 {
    Random(seed ^ episode.wrapping_mul(0xd134_2543_de82_ef95)).next()
}

impl Choices {
    /// Decisions from a seed.
    pub fn seeded(seed: u64) -> Self {
        Self { source: Source::Seed(Random(seed)), step: Step::new(), made: Vec::new() }
    }

    /// Decisions as they were made before.
    pub fn recorded(steps: Vec<Step>) -> Self {
        Self { source: Source::Record { steps, next: 0, at: 0 }, step: Step::new(), made: Vec::new() }
    }

    /// Begins a step. False when a record has no more.
    pub fn begin(&mut self) -> bool {
        self.step.clear();
        match &mut self.source {
            Source::Record { steps, next, at } => {
                *next += 1;
                *at = 0;
                *next <= steps.len()
            }
            Source::Seed(_) | Source::Calm => true,
        }
    }

    /// The step did nothing: what was chosen for it is forgotten, and another may be tried. False when there is none.
    pub fn again(&mut self) -> bool {
        self.step.clear();
        matches!(self.source, Source::Seed(_))
    }

    /// Decides for this, without choosing. False in a record, where everything is decided.
    pub fn insist(&mut self, on: usize) -> bool {
        let free = matches!(self.source, Source::Seed(_));
        if free {
            self.step.push(on as u32);
        }
        free
    }

    /// The step has been made.
    pub fn end(&mut self) {
        self.made.push(std::mem::take(&mut self.step));
    }

    /// One of `0..among`. Zero is always the plainest: what happens when nothing goes wrong.
    pub fn pick(&mut self, among: usize) -> usize {
        let among = among.max(1);
        let value = match &mut self.source {
            Source::Calm => return 0,
            Source::Seed(random) => (random.next() % among as u64) as usize,
            Source::Record { steps, next, at } => {
                let value = steps.get(next.wrapping_sub(1)).and_then(|step| step.get(*at)).copied();
                *at += 1;
                value.unwrap_or(0) as usize % among
            }
        };
        self.step.push(value as u32);
        value
    }

    /// The index of one of these weights.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let Source::Seed(random) = &mut self.source else { return self.pick(weights.len()) };
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut left = random.next() % total.max(1);
        let mut chosen = 0;
        for (index, weight) in weights.iter().enumerate() {
            chosen = index;
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        self.step.push(chosen as u32);
        chosen
    }

    /// True once in a while, never in calm.
    pub fn once_in(&mut self, many: usize) -> bool {
        let picked = self.pick(many);
        picked + 1 == many && !matches!(self.source, Source::Calm)
    }

    /// From here on nothing goes wrong and nothing is written down.
    pub fn calm(&mut self) {
        self.source = Source::Calm;
    }

    /// True when nothing goes wrong any more.
    pub fn is_calm(&self) -> bool {
        matches!(self.source, Source::Calm)
    }

    /// Everything that was decided.
    pub fn into_record(self) -> Vec<Step> {
        self.made
    }
}
