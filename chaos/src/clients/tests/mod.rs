//! The clients against a small platform in this process.
#![allow(clippy::unwrap_used)]

mod asking;
mod deciding;
mod journeys;
mod outcomes;
mod server;
mod settling;
mod streaming;

use std::{path::PathBuf, sync::Arc};

use tempfile::TempDir;
use uuid::Uuid;

use super::{
    Load, Target, Tokens,
    http::Http,
    world::{Buyer, World},
};
use crate::history::{Line, Operation, Recorder, Stream, read};
use server::Server;

/// A load of a journey with everything else as in `fields`, quick to give up.
fn load(journey: &str, fields: &str) -> Load {
    toml::from_str(&format!("journey = \"{journey}\"\n{fields}")).unwrap()
}

fn target(door: &str, replicas: &[&str]) -> Target {
    let tokens: Tokens = Arc::new(|role, subject| Box::pin(async move { Ok(format!("{role}-{subject}")) }));
    let replicas = replicas.iter().map(|door| (*door).to_owned()).collect();
    Target { door: door.to_owned(), replicas, tokens, seed: 1 }
}

/// A history in a folder that is gone with it.
struct Kept {
    recorder: Recorder,
    path: PathBuf,
    _folder: TempDir,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        Self { recorder: Recorder::create(&path).unwrap(), path, _folder: folder }
    }

    async fn lines(&self) -> Vec<Line> {
        let written = self.recorder.close().await.unwrap();
        let lines = read(&self.path).unwrap();
        assert_eq!(lines.len() as u64, written);
        lines
    }

    /// Operations, in the order of their begins.
    async fn operations(&self) -> Vec<Operation> {
        let lines = self.lines().await.into_iter();
        let mut operations: Vec<_> = lines
            .filter_map(|line| match line {
                Line::Operation(operation) => Some(operation),
                Line::Stream(_) => None,
            })
            .collect();
        operations.sort_unstable_by_key(|operation| operation.id);
        operations
    }

    /// Streams, in the order of their begins.
    async fn streams(&self) -> Vec<Stream> {
        let lines = self.lines().await.into_iter();
        let mut streams: Vec<_> = lines
            .filter_map(|line| match line {
                Line::Stream(stream) => Some(stream),
                Line::Operation(_) => None,
            })
            .collect();
        streams.sort_unstable_by_key(|stream| stream.id);
        streams
    }
}

/// A world with one buyer, whose only door is this server.
fn world(server: &Server, kept: &Kept, fields: &str) -> World {
    let load = load("orders", fields);
    load.check().unwrap();
    let http = Http::new(load.connections, load.timeout, kept.recorder.clone()).unwrap();
    let buyers = vec![Buyer { id: Uuid::now_v7(), bearer: "buyer".to_owned() }];
    World::new(load, target(&server.door, &[]), buyers, "admin".to_owned(), http, kept.recorder.clone())
}
