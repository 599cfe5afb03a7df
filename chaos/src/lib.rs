//! Faults on a running platform, and the proof that its promises held all the same.
//!
//! A run has four parts. The [`platform`] is started as separate processes on a real PostgreSQL and a real broker, each
//! behind a [`proxy`] of ours. [`clients`] order, cancel, refund and watch, and write down each operation with its begin,
//! its end and its answer: the [`history`]. Meanwhile an [`experiment`] has [`faults`] happen by a schedule that its seed
//! decides. When the platform has come to rest the auditor ([`audit`]) reads history, databases and topics, rebuilds
//! everything from the events alone, and compares. The [`report`] tells all of it.
//!
//! Nothing here shares code with the platform: it is known by its contracts, over the wire.

pub mod audit;
pub mod cli;
pub mod clients;
pub mod experiment;
pub mod faults;
pub mod history;
pub mod platform;
pub mod proxy;
pub mod report;
pub mod run;
pub mod selftest;
