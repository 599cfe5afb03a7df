//! What all streams of a phase have seen together.

use std::{
    cell::{Ref, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use jiff::Timestamp;

use super::message::Message;
use crate::measure::recorder::Recorder;

/// More kinds of reasons than this are counted together.
const KINDS: usize = 32;

/// Counts.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Streams that are open now.
    pub open: usize,
    /// Streams that were opened, reconnects included.
    pub opened: u64,
    /// Streams that were told the whole story and ended as they should.
    pub settled: u64,
    /// Connections made again with the last version that was seen.
    pub reconnects: u64,
    /// Messages from the future: the clocks differ, and the delivery times mean nothing.
    pub ahead: u64,
    /// Broken promises, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Connections that broke or were refused, by reason.
    pub broken: BTreeMap<String, u64>,
}

/// Where streams tell what they see. One for each phase.
pub struct Board {
    recorder: Rc<Recorder>,
    tally: RefCell<Tally>,
}

impl Board {
    /// Nothing seen yet.
    pub fn new(recorder: Rc<Recorder>) -> Rc<Self> {
        Rc::new(Self { recorder, tally: RefCell::default() })
    }

    /// Where the load is written down.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// What has been seen.
    pub fn tally(&self) -> Ref<'_, Tally> {
        self.tally.borrow()
    }

    /// Streams that are open now.
    pub fn open(&self) -> usize {
        self.tally.borrow().open
    }

    /// A stream was opened; it counts as open as long as what is returned lives.
    pub(super) fn opened(&self) -> Opened<'_> {
        let mut tally = self.tally.borrow_mut();
        tally.opened += 1;
        tally.open += 1;
        self.recorder.open_streams(tally.open);
        Opened { board: self, at: Timestamp::now() }
    }

    pub(super) fn settled(&self) {
        self.tally.borrow_mut().settled += 1;
    }

    pub(super) fn reconnected(&self) {
        self.tally.borrow_mut().reconnects += 1;
    }

    pub(super) fn fault(&self, fault: &str) {
        count(&mut self.tally.borrow_mut().faults, fault);
    }

    pub(super) fn broken(&self, reason: &str) {
        count(&mut self.tally.borrow_mut().broken, reason);
    }
}

/// An open stream.
pub(super) struct Opened<'a> {
    board: &'a Board,
    at: Timestamp,
}

impl Opened<'_> {
    /// A message has arrived.
    pub fn heard(&self, message: &Message) {
        // What happened before the stream was open was not waiting to be told.
        if message.occurred_at < self.at {
            return;
        }
        match Timestamp::now().duration_since(message.occurred_at).try_into() {
            Ok(took) => self.board.recorder.delivered(took),
            Err(_) => self.board.tally.borrow_mut().ahead += 1,
        }
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        let mut tally = self.board.tally.borrow_mut();
        tally.open -= 1;
        self.board.recorder.open_streams(tally.open);
    }
}

fn count(counts: &mut BTreeMap<String, u64>, kind: &str) {
    let known = counts.len() < KINDS || counts.contains_key(kind);
    *counts.entry(if known { kind } else { "other" }.to_owned()).or_default() += 1;
}
