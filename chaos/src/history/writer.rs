//! The thread that writes a history to its file.
//!
//! What has come is in the file as soon as the writer has nothing else to do, and after 100 ms at the latest: when the rig
//! is killed, at most that much is missing.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::mpsc::{Receiver, error::TryRecvError};

use super::Line;

/// The longest time that a line stays in memory while others come.
const FLUSH: Duration = Duration::from_millis(100);

/// Begins to write what comes; ends when all senders are gone, with the number of lines.
pub fn start(file: File, lines: Receiver<Line>) -> io::Result<JoinHandle<io::Result<u64>>> {
    thread::Builder::new().name("history".to_owned()).spawn(move || write(BufWriter::new(file), lines))
}

fn write(mut file: impl Write, mut lines: Receiver<Line>) -> io::Result<u64> {
    let (mut written, mut flushed) = (0, Instant::now());
    loop {
        let line = match lines.try_recv() {
            Ok(line) => line,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                file.flush()?;
                flushed = Instant::now();
                match lines.blocking_recv() {
                    Some(line) => line,
                    None => break,
                }
            }
        };
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
        written += 1;
        if flushed.elapsed() >= FLUSH {
            file.flush()?;
            flushed = Instant::now();
        }
    }
    file.flush()?;
    Ok(written)
}
