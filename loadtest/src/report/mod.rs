//! What is told of a run: a file for machines, a page and a table for people.
//!
//! A run puts its report together phase by phase:
//!
//! ```text
//! let sampler = Sampler::start(Components::find(target, data_dir, named));    // before the first phase
//! let mut draft = Draft::new(profile, seed, url);
//! for each phase:
//!     let live = live::phase(name, load, seconds, &recorder, Some(&sampler)); // until it is dropped
//!     … the load, which tells the recorder begin() and end() and has the sampler look() at its end …
//!     let finals = finals::follow(target, customers, &recorder, within, stop, grace).await;
//!     let usage = sampler.usage();
//!     draft.phase(phase::phase(&Seen { … }), &objectives);
//! draft.baseline(measuring.told());                                           // when it is wanted
//! let report = draft.finish(partial);
//! print!("{}", terminal::summary(&report)); write::write(&report, folder)?; exit 0 when report.kept()
//! ```

pub mod compare;
pub mod draft;
pub mod html;
pub mod live;
pub mod model;
pub mod objectives;
pub mod phase;
pub mod terminal;
pub mod text;
pub mod write;
